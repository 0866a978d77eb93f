-- logged is when a record of a log was entered, in nanoseconds of the Unix epoch.
ALTER TABLE records ADD COLUMN logged INTEGER;
CREATE INDEX records_log ON records (kind, logged, key) WHERE logged IS NOT NULL;
