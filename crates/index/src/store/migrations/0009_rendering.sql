-- By which version of the renderer a project's pages were made. With `files.published_root`, the address that they name, it
-- says which pages this program would make otherwise: those are rendered again, in steps. `indexes.render_version` is from
-- here on that of the list alone.
ALTER TABLE projects ADD COLUMN render_version BIGINT NOT NULL DEFAULT 1;

-- Walked by project, among files that have provenance.
DROP INDEX files_by_provenance;
CREATE INDEX files_by_provenance ON files (index_id, project_id) WHERE provenance_sha256 IS NOT NULL;

-- How many projects and files the index shows: counting a million rows for each look at the home page costs too much. Moved by
-- each commit 2.
ALTER TABLE indexes ADD COLUMN shown_projects BIGINT NOT NULL DEFAULT 0;
ALTER TABLE indexes ADD COLUMN shown_files BIGINT NOT NULL DEFAULT 0;
UPDATE indexes SET
    shown_projects = (SELECT COUNT(*) FROM projects p WHERE p.index_id = indexes.id AND p.published),
    shown_files = (SELECT COUNT(*) FROM files f WHERE f.index_id = indexes.id AND f.published);
