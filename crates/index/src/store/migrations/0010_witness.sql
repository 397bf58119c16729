-- Witnessing of logs (C2SP tlog-witness), in both directions.

-- The largest tree of another log that this index has cosigned: stored before the signature is given away, so that no two
-- signatures of ours are of trees that do not join.
CREATE TABLE witnessed_logs (
    index_id BIGINT NOT NULL REFERENCES indexes (id),
    origin TEXT NOT NULL,
    size BIGINT NOT NULL,
    root TEXT NOT NULL,
    seen_us BIGINT NOT NULL,
    PRIMARY KEY (index_id, origin)
);

-- The last checkpoint of this index's own log that witnesses have cosigned, with their signatures.
ALTER TABLE logs ADD COLUMN witnessed TEXT;
