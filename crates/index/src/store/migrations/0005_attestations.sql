-- Attestations (PEP 740): who publishes a project, and what was verified of each file.

-- `publisher`: as provenance names it, JSON.
CREATE TABLE project_publishers (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    publisher TEXT NOT NULL,
    index_id BIGINT NOT NULL REFERENCES indexes (id),
    created_us BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (project_id, publisher)
);

-- `published_root`: the address of this server that the published entry names; only where there is provenance.
ALTER TABLE files ADD COLUMN provenance_sha256 TEXT;
ALTER TABLE files ADD COLUMN published_root TEXT;
CREATE INDEX files_by_provenance ON files (index_id, provenance_sha256);

-- The provenance object of a file, deflated, and whose it is.
CREATE TABLE file_provenance (
    file_id BIGINT PRIMARY KEY NOT NULL REFERENCES files (id),
    publisher TEXT NOT NULL,
    body BYTEA NOT NULL
);
