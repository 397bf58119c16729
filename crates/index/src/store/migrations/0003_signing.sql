-- What is signed, and by whom. Signatures are kept, bodies are rendered again from the rows below.

-- One row an index whose repository was founded. `pending`: a finished signing event that the publisher has yet to
-- take over, as JSON.
CREATE TABLE repositories (
    index_id BIGINT PRIMARY KEY NOT NULL REFERENCES indexes (id),
    profile TEXT NOT NULL,
    founded_us BIGINT NOT NULL,
    pending TEXT
);

-- Root, targets and bins are signed by people: every version is kept whole.
CREATE TABLE offline_roles (
    index_id BIGINT NOT NULL REFERENCES indexes (id),
    role TEXT NOT NULL,
    version BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (index_id, role, version)
);

-- The version in force of timestamp, snapshot and each bin. `signatures`: [[keyid, hex]].
CREATE TABLE online_roles (
    index_id BIGINT NOT NULL REFERENCES indexes (id),
    role TEXT NOT NULL,
    version BIGINT NOT NULL,
    issued BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    signatures TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    length BIGINT NOT NULL,
    PRIMARY KEY (index_id, role)
);

-- Published state: what the bins list. `slot` is the first sixteen bits of the path's SHA-256, so that 2^n bins of any
-- n are ranges of slots, and another division of the bins changes no row.
CREATE TABLE targets (
    index_id BIGINT NOT NULL REFERENCES indexes (id),
    slot BIGINT NOT NULL,
    path TEXT NOT NULL,
    length BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    custom TEXT,
    PRIMARY KEY (index_id, slot, path)
);

-- Objects of the site that nothing in force names any more, until clients of older snapshots are done with them.
CREATE TABLE superseded (
    index_id BIGINT NOT NULL REFERENCES indexes (id),
    path TEXT NOT NULL,
    since_us BIGINT NOT NULL,
    PRIMARY KEY (index_id, path)
);
CREATE INDEX superseded_by_age ON superseded (index_id, since_us);
