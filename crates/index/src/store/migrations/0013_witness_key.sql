-- The key by which an index witnesses the logs of others, as `name+id+key`: others count on it, so one that is lost is said to
-- be, and never replaced in silence. Absent until it was made.
ALTER TABLE logs ADD COLUMN witness_key TEXT;
