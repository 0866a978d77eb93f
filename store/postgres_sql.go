package store

// pgClock is the time in nanoseconds of the Unix epoch: that of the server, so that all replicas agree
// however their own clocks go, unless $1 gives another. As a subquery it is asked once a statement, and
// an index can be searched with it.
const pgClock = `(SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint))`

// The statements of the record operations, in plain SQL that databases which resemble PostgreSQL know
// too. The one exception is the two locks.
const (
	pgNow = `SELECT ` + pgClock

	pgGet = `SELECT version, expires, value FROM chatpass_records
		WHERE kind = $2 AND key = $3 AND expires > ` + pgClock

	pgListA = `SELECT key, version, expires, value FROM chatpass_records
		WHERE kind = $2 AND index_a = $3 AND key > $4 AND expires > ` + pgClock + ` ORDER BY key LIMIT $5`
	pgListB = `SELECT key, version, expires, value FROM chatpass_records
		WHERE kind = $2 AND index_b = $3 AND key > $4 AND expires > ` + pgClock + ` ORDER BY key LIMIT $5`
	pgListC = `SELECT key, version, expires, value FROM chatpass_records
		WHERE kind = $2 AND index_c = $3 AND key > $4 AND expires > ` + pgClock + ` ORDER BY key LIMIT $5`

	pgSince = `SELECT key, version, expires, value, logged FROM chatpass_records
		WHERE kind = $2 AND logged >= $3 AND (logged, key) > ($4, $5) AND expires > ` + pgClock + `
		ORDER BY logged, key LIMIT $6`

	pgScan = `SELECT kind, key, CASE WHEN substring(value FROM 1 FOR length($4::bytea)) <> $4 THEN value ELSE '' END FROM chatpass_records
		WHERE (kind, key) > ($2, $3) AND expires > ` + pgClock + ` ORDER BY kind, key LIMIT $5`

	pgCreate = `INSERT INTO chatpass_records AS r
		(kind, key, version, expires, index_a, index_b, index_c, stamp, value, logged)
		VALUES ($2, $3, 1, $4, $5, $6, $7, $8, $9, CASE WHEN $10::boolean THEN ` + pgClock + ` END)
		ON CONFLICT (kind, key) DO UPDATE SET
		version = 1, expires = excluded.expires, index_a = excluded.index_a, index_b = excluded.index_b,
		index_c = excluded.index_c, stamp = excluded.stamp, value = excluded.value, logged = excluded.logged
		WHERE r.expires <= ` + pgClock

	pgSwap = `UPDATE chatpass_records SET
		version = version + 1, expires = $4, index_a = $5, index_b = $6, index_c = $7, stamp = $8, value = $9
		WHERE kind = $2 AND key = $3 AND version = $10 AND expires > ` + pgClock

	pgTake = `UPDATE chatpass_records SET version = 2, value = ''
		WHERE kind = $2 AND key = $3 AND version = 1 AND expires > ` + pgClock

	// pgReseal waits for nobody: a record that somebody else is writing is left for later.
	pgReseal = `WITH mine AS MATERIALIZED (SELECT kind, key FROM chatpass_records
		WHERE kind = $2 AND key = $3 AND value = $5 AND expires > ` + pgClock + ` FOR UPDATE SKIP LOCKED)
		UPDATE chatpass_records r SET value = $4 FROM mine WHERE r.kind = mine.kind AND r.key = mine.key`

	pgRaise = `INSERT INTO chatpass_records AS r (kind, key, version, expires, stamp, value)
		VALUES ($2, $3, 1, $4, $5, $6)
		ON CONFLICT (kind, key) DO UPDATE SET
		version = r.version + 1, value = excluded.value,
		stamp = CASE WHEN r.expires > ` + pgClock + ` THEN greatest(r.stamp, excluded.stamp) ELSE excluded.stamp END,
		expires = greatest(r.expires, excluded.expires)`

	// pgAbsent has one row if the condition holds, so that rows count as with the others.
	pgAbsent = `SELECT 1 WHERE NOT EXISTS (SELECT FROM chatpass_records
		WHERE kind = $2 AND key = $3 AND stamp >= $4 AND expires > ` + pgClock + `)`

	// pgSweep leaves alone what somebody else is writing or sweeping.
	pgSweep = `WITH gone AS MATERIALIZED (SELECT kind, key FROM chatpass_records
		WHERE expires <= ` + pgClock + ` ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)
		DELETE FROM chatpass_records r USING gone WHERE r.kind = gone.kind AND r.key = gone.key`

	// The locks that order absent against raise; they end with the transaction.
	pgLock       = `SELECT pg_advisory_xact_lock($1)`
	pgLockShared = `SELECT pg_advisory_xact_lock_shared($1)`

	// A snapshot begins with each statement, not with the transaction: what absent sees is what was
	// committed when it had its lock.
	pgBegin    = `BEGIN ISOLATION LEVEL READ COMMITTED`
	pgCommit   = `COMMIT`
	pgRollback = `ROLLBACK`

	pgListen = `LISTEN chatpass_log`
	pgNotify = `NOTIFY chatpass_log`
)
