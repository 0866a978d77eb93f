package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// How often others are told at most, how long a silent connection is believed in, and the pause before
// a lost one is made again, of which a random part is taken.
const (
	tellEvery   = 100 * time.Millisecond
	silence     = 30 * time.Second
	listenPause = 4 * time.Second
)

func (e *postgresEngine) announce() {
	select {
	case e.news <- struct{}{}:
	default: // it is going to be told anyway
	}
}

// tell passes on what announce was called for, many calls at once. A hint that fails is lost: those who
// wait for it look by themselves often enough.
func (e *postgresEngine) tell() {
	for {
		select {
		case <-e.quit:
			return
		case <-e.news:
		}
		ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
		_, _ = e.pool.Exec(ctx, pgNotify)
		cancel()
		select {
		case <-e.quit:
			return
		case <-time.After(tellEvery):
		}
	}
}

// listen holds a connection of its own. After each time that it was lost it calls heard once, for what
// was said meanwhile.
func (e *postgresEngine) listen(ctx context.Context, heard func()) {
	for {
		e.hear(ctx, heard)
		if !wait(ctx, rand.N(listenPause)) {
			return
		}
	}
}

// hear listens until the connection is lost.
func (e *postgresEngine) hear(ctx context.Context, heard func()) {
	conn, err := pgx.ConnectConfig(ctx, e.pool.Config().ConnConfig)
	if err != nil {
		return
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, pgListen); err != nil {
		return
	}
	for heard(); ; {
		quiet, cancel := context.WithTimeout(ctx, silence)
		_, err := conn.WaitForNotification(quiet)
		cancel()
		switch {
		case err == nil:
			heard()
		case ctx.Err() != nil || !alive(ctx, conn):
			return
		}
	}
}

func alive(ctx context.Context, conn *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return conn.Ping(ctx) == nil
}
