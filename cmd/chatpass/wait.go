package main

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net/http"
	"time"

	"chatpass/decision"
	"chatpass/identity"
	"chatpass/keys"
	"chatpass/server"
)

// The pauses between two attempts to open the house grow from the first to the longest; half of each is
// random, so that replicas do not come all at once.
const firstPause, longestPause = 250 * time.Millisecond, 5 * time.Second

var errWaiting = errors.New("the store cannot be reached: only the key set is served, from its snapshot")

// openOrWait opens the house. If it is only the store that cannot be reached, and there is a snapshot of the
// key set, that is served until live has opened the house.
func (h *house) openOrWait(ctx context.Context) error {
	err := h.open(ctx)
	if !isStoreAway(err) || h.snapshot.path == "" {
		return err
	}
	set, unreadable := h.snapshot.read(h.plans.keys.Denied, time.Now())
	switch {
	case missing(unreadable):
		h.log.Warn("there is no key set snapshot yet", "path", h.snapshot.path)
		return err
	case unreadable != nil:
		h.log.Error("the key set snapshot is not used", "err", unreadable)
		return err
	}
	h.log.Error("the store cannot be reached: the key set is served from its snapshot, all else answers 503 until it can", "err", err)
	return h.showSnapshot(set)
}

// isStoreAway is true for an outage of the store alone: no schema, key or setting is wrong.
func isStoreAway(err error) bool {
	outage, ok := errors.AsType[*identity.Outage](err)
	return ok && outage.Code == identity.StoreUnavailable
}

// showSnapshot puts a front over no rooms in place.
func (h *house) showSnapshot(set *keys.Remembered) error {
	p := h.plans
	var origins []string
	for _, app := range p.apps {
		origins = append(origins, app.Origins...)
	}
	handler, err := server.NewWaiting(server.Config{
		Issuer: p.cfg.Issuer, Log: h.log, JWKSMaxAge: p.cfg.Keys.JWKSMaxAge, TrustedProxies: p.cfg.TrustedProxies,
		Audit: func(r *http.Request, d *decision.Decision) { h.tell(r.Context(), d) },
		Now:   time.Now, NewID: rand.Text, Random: mathrand.Float64, Distrusted: h.metrics.Distrusted, Report: h.metrics.Request,
	}, origins, func() (keys.KeySet, bool) { return set.KeySet(time.Now()) })
	if err != nil {
		return err
	}
	certificate, err := loadCertificate(p.cfg.TLS)
	if err != nil {
		return err
	}
	h.front.Store(&front{handler: handler, certificate: certificate, stop: func() {}})
	return nil
}

// await tries to open the house until it is open or ctx has ended. Its error is any but the store's outage.
func (h *house) await(ctx context.Context) error {
	for length := firstPause; !h.opened.Load(); length = min(2*length, longestPause) {
		pause(ctx, length/2+mathrand.N(length/2))
		if ctx.Err() != nil {
			return nil
		}
		if err := h.open(ctx); err != nil && ctx.Err() == nil && !isStoreAway(err) {
			return err
		}
		if h.opened.Load() {
			h.log.Info("the store has been reached: everything is served")
		}
	}
	return nil
}
