-- One row is one record; what it means is known to the program alone. Times are nanoseconds of the
-- Unix epoch. Later migrations keep the columns kind, key and value: the master key is checked with
-- the canary record before anything is migrated.
CREATE TABLE records (
  kind    TEXT    NOT NULL,
  key     BLOB    NOT NULL,
  version INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  index_a BLOB,
  index_b BLOB,
  index_c BLOB,
  stamp   INTEGER NOT NULL,
  value   BLOB    NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT;

CREATE INDEX records_expires ON records (expires);
CREATE INDEX records_a ON records (kind, index_a, key) WHERE index_a IS NOT NULL;
CREATE INDEX records_b ON records (kind, index_b, key) WHERE index_b IS NOT NULL;
CREATE INDEX records_c ON records (kind, index_c, key) WHERE index_c IS NOT NULL;

CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
INSERT INTO schema_version (version) VALUES (1);
