package store

// The statements of the record operations. The last argument but those named otherwise is the clock.
const (
	sqlGet = `SELECT version, expires, value FROM records
		WHERE kind = ?1 AND key = ?2 AND expires > ?3`

	sqlListA = `SELECT key, version, expires, value FROM records
		WHERE kind = ?1 AND index_a = ?2 AND key > ?3 AND expires > ?4 ORDER BY key LIMIT ?5`
	sqlListB = `SELECT key, version, expires, value FROM records
		WHERE kind = ?1 AND index_b = ?2 AND key > ?3 AND expires > ?4 ORDER BY key LIMIT ?5`
	sqlListC = `SELECT key, version, expires, value FROM records
		WHERE kind = ?1 AND index_c = ?2 AND key > ?3 AND expires > ?4 ORDER BY key LIMIT ?5`

	sqlSince = `SELECT key, version, expires, value, logged FROM records
		WHERE kind = ?1 AND logged >= ?2 AND (logged, key) > (?3, ?4) AND expires > ?5
		ORDER BY logged, key LIMIT ?6`

	sqlScan = `SELECT kind, key, CASE WHEN substr(value, 1, length(?3)) <> ?3 THEN value ELSE x'' END FROM records
		WHERE (kind, key) > (?1, ?2) AND expires > ?4 ORDER BY kind, key LIMIT ?5`

	sqlCreate = `INSERT INTO records
		(kind, key, version, expires, index_a, index_b, index_c, stamp, value, logged)
		VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?10)
		ON CONFLICT (kind, key) DO UPDATE SET
		version = 1, expires = excluded.expires, index_a = excluded.index_a, index_b = excluded.index_b,
		index_c = excluded.index_c, stamp = excluded.stamp, value = excluded.value, logged = excluded.logged
		WHERE records.expires <= ?9`

	sqlSwap = `UPDATE records SET
		version = version + 1, expires = ?3, index_a = ?4, index_b = ?5, index_c = ?6, stamp = ?7, value = ?8
		WHERE kind = ?1 AND key = ?2 AND expires > ?9 AND version = ?10`

	sqlTake = `UPDATE records SET version = 2, value = x''
		WHERE kind = ?1 AND key = ?2 AND expires > ?3 AND version = 1`

	sqlReseal = `UPDATE records SET value = ?3
		WHERE kind = ?1 AND key = ?2 AND value = ?4 AND expires > ?5`

	sqlRaise = `INSERT INTO records (kind, key, version, expires, stamp, value)
		VALUES (?1, ?2, 1, ?3, ?4, ?5)
		ON CONFLICT (kind, key) DO UPDATE SET
		version = records.version + 1, value = excluded.value,
		stamp = iif(records.expires > ?6, max(records.stamp, excluded.stamp), excluded.stamp),
		expires = max(records.expires, excluded.expires)`

	sqlAbsent = `SELECT NOT EXISTS (SELECT 1 FROM records
		WHERE kind = ?1 AND key = ?2 AND stamp >= ?3 AND expires > ?4)`

	sqlSweep = `DELETE FROM records WHERE rowid IN
		(SELECT rowid FROM records WHERE expires <= ?1 ORDER BY expires LIMIT ?2)`

	sqlVersion = `SELECT version FROM schema_version`

	sqlAbout = `SELECT 'SQLite ' || sqlite_version(), version FROM schema_version`

	sqlTables = `SELECT count(*), count(*) FILTER (WHERE name = 'schema_version')
		FROM sqlite_schema WHERE type = 'table'`

	sqlCanary = `SELECT value FROM records WHERE kind = 'canary'`
)
