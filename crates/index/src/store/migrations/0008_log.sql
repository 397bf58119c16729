-- The transparency log of each index. Tiles are made again from the entries, so only entries and the signed checkpoint
-- are kept. Nothing here is ever changed but the one row of `logs`, which only grows.

-- `walked`: how far the founding came, by the id of a project. `note`: the signed checkpoint; absent until the founding
-- is complete, and `size` and `root` are then those of nothing.
CREATE TABLE logs (
    index_id BIGINT PRIMARY KEY NOT NULL REFERENCES indexes (id),
    origin TEXT NOT NULL,
    verifier TEXT NOT NULL,
    walked BIGINT NOT NULL,
    size BIGINT NOT NULL,
    root TEXT NOT NULL,
    note TEXT
);

CREATE TABLE log_entries (
    index_id BIGINT NOT NULL REFERENCES indexes (id),
    seq BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (index_id, seq)
);

-- Who an entry of a project speaks of: the only place that says so. Deleting a row is the erasure. `subject` is
-- `account/<id>`, or `publisher/<id>` for what publishes without an account.
CREATE TABLE log_names (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    subject TEXT NOT NULL,
    index_id BIGINT NOT NULL REFERENCES indexes (id),
    pseudonym TEXT NOT NULL,
    salt TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (project_id, subject)
);

-- Whose acts the next publication of a project shows: one account's, or 0 for those of several, of an operator, or of a
-- rule. Absent when nothing waits.
ALTER TABLE projects ADD COLUMN acted_by BIGINT;
