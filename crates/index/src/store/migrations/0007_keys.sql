-- Key ids that the roles in force may still trust and that sign nothing here any more: a JSON list. A standby took over,
-- and whoever holds the root has yet to revoke them.
ALTER TABLE repositories ADD COLUMN retired TEXT NOT NULL DEFAULT '[]';
