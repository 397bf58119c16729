-- The publishers of a project as its last publication had them, JSON as `project_publishers` has it: what the log compares
-- with those that are bound now. Those of a ledger that is older enter the log with the next publication of their project.
ALTER TABLE projects ADD COLUMN published_publishers TEXT NOT NULL DEFAULT '[]';
