-- The publishers of a project as its last publication had them, JSON as `project_publishers` has it: what the log compares
-- with those that are bound now. Those of a ledger that is older enter the log with the next publication of their project.
ALTER TABLE projects ADD COLUMN published_publishers TEXT NOT NULL DEFAULT '[]';

-- Publishers of projects that are not there yet, JSON as above: bound to a name by an account, or by the operator (0), and to
-- the project once that account's upload makes it.
CREATE TABLE pending_publishers (
    index_id BIGINT NOT NULL REFERENCES indexes (id),
    name TEXT NOT NULL,
    account_id BIGINT NOT NULL,
    publisher TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (index_id, name, account_id, publisher)
);
