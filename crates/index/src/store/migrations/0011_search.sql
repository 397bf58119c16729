-- What changed since a serial: the names that a process holds for its search are brought up to date by these rows alone.
CREATE INDEX projects_by_serial ON projects (index_id, serial);
