-- One row is one record; what it means is known to the program alone. Times are nanoseconds of the
-- Unix epoch; logged is when a record of a log was entered. Later migrations keep the columns kind, key
-- and value: the master key is checked with the canary record before anything is migrated.
--
-- Rows are short-lived and rewritten often. Pages keep room for the next version of a row, and dead
-- rows are cleared away when they are a fiftieth of the table and not, as is usual, a fifth.
CREATE TABLE chatpass_records (
  kind    text   NOT NULL,
  key     bytea  NOT NULL,
  version bigint NOT NULL,
  expires bigint NOT NULL,
  index_a bytea,
  index_b bytea,
  index_c bytea,
  stamp   bigint NOT NULL,
  value   bytea  NOT NULL,
  logged  bigint,
  PRIMARY KEY (kind, key)
) WITH (
  fillfactor = 85,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.02,
  toast.autovacuum_vacuum_scale_factor = 0.02
);

-- A sealed value cannot be compressed.
ALTER TABLE chatpass_records ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE INDEX chatpass_records_expires ON chatpass_records (expires);
CREATE INDEX chatpass_records_a ON chatpass_records (kind, index_a, key) WHERE index_a IS NOT NULL;
CREATE INDEX chatpass_records_b ON chatpass_records (kind, index_b, key) WHERE index_b IS NOT NULL;
CREATE INDEX chatpass_records_c ON chatpass_records (kind, index_c, key) WHERE index_c IS NOT NULL;
CREATE INDEX chatpass_records_log ON chatpass_records (kind, logged, key) WHERE logged IS NOT NULL;
