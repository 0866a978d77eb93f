package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"chatpass/admin"
	"chatpass/config"
	"chatpass/decision"
	"chatpass/exchange"
	"chatpass/identity"
	"chatpass/keys"
	"chatpass/oidc"
	"chatpass/seal"
	"chatpass/server"
	"chatpass/session"
	"chatpass/status"
	"chatpass/store"
)

// A house is everything that runs: what stays for the life of the process, and a front that is
// rebuilt when the configuration is read again.
type house struct {
	plans    plans
	log      *slog.Logger
	told     func(*decision.Decision) // may be nil
	metrics  *admin.Metrics
	sealer   *seal.Sealer
	snapshot snapshot // without a path: none
	front    atomic.Pointer[front]
	leaving  atomic.Bool // the process is about to end
	alarms   alarm

	// What follows is there once the house is open.
	opened   atomic.Bool
	refusals *decision.Keeper
	store    *store.Store
	module   module
	ring     *keys.Ring
	sessions *session.Sessions
	lists    *status.Lists
}

// A front is what a new configuration replaces.
type front struct {
	handler     http.Handler
	gate        *oidc.Gate
	certificate *tls.Certificate // nil: no TLS here
	stop        context.CancelFunc
}

// newHouse is the house before it is opened: nobody has been asked for anything yet.
func newHouse(p plans, how service) (*house, error) {
	sealer, err := seal.New([]byte(p.cfg.MasterKey.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	return &house{
		plans: p, log: how.log, told: how.told, metrics: admin.NewMetrics(), sealer: sealer,
		snapshot: snapshotOf(p.cfg, sealer),
	}, nil
}

// open builds the rooms and the front. When it fails, nothing is left running, and it may be tried again.
func (h *house) open(ctx context.Context) (err error) {
	p := h.plans
	h.ring, h.module = nil, noModule()
	h.store, err = store.Open(ctx, store.Config{URL: p.cfg.Store.Reveal(), Sealer: h.sealer, Report: h.metrics.Store})
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	h.refusals = decision.NewKeeper(decision.KeeperConfig{Keep: h.store.Exchange().KeepDecisions, Now: time.Now})
	if err := h.openModule(p.cfg.Keys); err != nil {
		return errors.Join(fmt.Errorf("keys.pkcs11: %w", err), h.close())
	}
	p.keys.Store, p.keys.Module, p.keys.Log, p.keys.Memory = h.store.Keys(), h.module.Module, h.log, h.remember()
	if h.ring, err = keys.Open(ctx, p.keys); err != nil {
		return errors.Join(fmt.Errorf("open key ring: %w", explainRing(err)), h.close())
	}
	h.sessions, err = session.New(session.Config{
		Store: h.store.Sessions(), Sealer: h.sealer, Now: time.Now, NewID: rand.Text, Random: mathrand.Float64,
		Refresh: func(ctx context.Context, who identity.Identity, refreshToken string) (identity.Grant, error) {
			return h.front.Load().gate.Refresh(ctx, who, refreshToken)
		},
		Revoke: func(ctx context.Context, idp, refreshToken string) error {
			return h.front.Load().gate.Revoke(ctx, idp, refreshToken)
		},
		Heard: h.reportInquiry,
	})
	if err != nil {
		return errors.Join(err, h.close())
	}
	h.lists = status.New(status.Config{
		Store: h.store.Status(), Signer: h.ring.Class(statusClass), Log: h.log, Issuer: p.cfg.Issuer, URI: p.cfg.Issuer + "/status/", TTL: p.cfg.Status.TTL,
		Secret: func(list string) []byte { return h.sealer.Sum("status list", []byte(list)) }, Now: time.Now,
	})
	_ = h.lists.Follow(ctx) // what fails is tried again every second, and told
	if err := h.furnish(ctx, p); err != nil {
		return errors.Join(err, h.close())
	}
	h.watch()
	h.opened.Store(true)
	return nil
}

// remember returns what the snapshot knows of the ring's past. One that is not ours knows nothing.
func (h *house) remember() keys.Memory {
	memory, err := h.snapshot.memory()
	if err != nil {
		h.log.Error("the key set snapshot is not used: nobody notices if the key ring was put back", "err", err)
	}
	return memory
}

// furnish builds a new front over the rooms that stay, and puts it in place of the old one.
func (h *house) furnish(ctx context.Context, p plans) error {
	for i := range p.issuers {
		p.issuers[i].Report = h.reportFetch
	}
	gate, err := oidc.New(p.issuers)
	if err != nil {
		return err
	}
	exchanger, err := exchange.New(exchange.Config{
		Issuer: p.cfg.Issuer, Apps: p.apps, Sessions: h.sessions, Signer: h.ring.Class(contextClass), Store: h.store.Exchange(),
		Verifiers: map[exchange.TokenType]exchange.Verifier{exchange.IDToken: gate}, Knows: gate.Knows,
		Open: h.openContext, SessionsPerCustomer: p.cfg.Limits.SessionsPerCustomer, KeysFailed: h.reportClientKeys,
		Place: h.lists.Place, Audit: h.audit, Now: time.Now, NewID: rand.Text, Random: mathrand.Float64,
	})
	if err != nil {
		return err
	}
	public, err := server.New(server.Config{
		Issuer: p.cfg.Issuer, Exchanger: exchanger, Gate: gate, Sessions: h.sessions, Ring: h.ring, Lists: h.lists, Log: h.log, Labels: labels(p.cfg),
		Audit: func(r *http.Request, d *decision.Decision) { h.audit(r.Context(), d) },
		Now:   time.Now, NewID: rand.Text, Random: mathrand.Float64, JWKSMaxAge: p.cfg.Keys.JWKSMaxAge,
		TrustedProxies: p.cfg.TrustedProxies, CrossSite: p.cfg.Cookie == "cross-site", Limits: limits(p.cfg.Limits), Distrusted: h.metrics.Distrusted, Report: h.metrics.Request,
	})
	if err != nil {
		return err
	}
	certificate, err := loadCertificate(p.cfg.TLS)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	go h.keepRunning(ctx, "issuers", gate.Run)
	go h.keepRunning(ctx, "clients", exchanger.Run)
	old := h.front.Swap(&front{handler: public.Handler(), gate: gate, certificate: certificate, stop: stop})
	if old != nil {
		old.stop()
	}
	return nil
}

func loadCertificate(pair config.TLS) (*tls.Certificate, error) {
	if len(pair.Cert) == 0 {
		return nil, nil //nolint:nilnil // no certificate is a configuration of its own
	}
	certificate, err := tls.X509KeyPair(pair.Cert, []byte(pair.Key.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("tls: cert and key do not belong together, or are no PEM: %w", err)
	}
	return &certificate, nil
}

// ServeHTTP serves with the newest front.
func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	h.front.Load().handler.ServeHTTP(w, r)
}

func (h *house) audit(ctx context.Context, d *decision.Decision) {
	h.tell(ctx, d)
	h.refusals.See(d, server.Household(ctx))
}

// tell is audit without keeping what was refused.
func (h *house) tell(ctx context.Context, d *decision.Decision) {
	h.metrics.Decision(d)
	d.Log(ctx, h.log)
	if h.told != nil {
		h.told(d)
	}
}

// openContext reads a context of ours that came back.
func (h *house) openContext(token string) (typ string, payload []byte, err error) {
	opened, err := h.ring.Class(contextClass).Verify(token)
	return opened.Typ, opened.Claims, err
}

func (h *house) reportClientKeys(client string, err error) {
	h.log.Warn("keys of a client cannot be fetched: it cannot authenticate when it changes them", "client", client, "err", err)
}

func (h *house) reportFetch(issuer string, err error) {
	h.metrics.Fetch(issuer, err)
	if err != nil {
		h.log.Warn("issuer cannot be reached: sign-ins with it fail until it can", "issuer", issuer, "err", err)
	}
}

// watch shows the figures that are asked for when somebody looks.
func (h *house) watch() {
	h.watchKeys()
	h.metrics.Watch(admin.Gauge{
		Name: "chatpass_revocation_lag_seconds", Help: "Time since the sign-outs of other replicas were last read.",
		Read: func() map[string]float64 {
			lag := h.sessions.Stats().Lag
			if lag < 0 {
				return nil
			}
			return map[string]float64{"": lag.Seconds()}
		},
	})
	h.metrics.Watch(admin.Gauge{
		Name: "chatpass_refusals_kept", Help: "Refusals since the start, by what became of them: kept, counted with one that is kept, lost.", Label: "how",
		Read: func() map[string]float64 {
			seen := h.refusals.Stats()
			return map[string]float64{"kept": float64(seen.Kept), "more": float64(seen.More), "lost": float64(seen.Lost)}
		},
	})
	h.metrics.Watch(admin.Gauge{
		Name: "chatpass_master_key_values", Help: "Values under an old key of the master key: sealed anew since the start, left by the last pass.", Label: "how",
		Read: func() map[string]float64 {
			seen := h.store.Stats()
			return map[string]float64{"resealed": float64(seen.Resealed), "left": float64(seen.Left)}
		},
	})
	h.metrics.Watch(admin.Gauge{
		Name: "chatpass_issuer_keys_age_seconds", Help: "Age of an upstream issuer's keys.", Label: "issuer",
		Read: func() map[string]float64 {
			ages := map[string]float64{}
			for _, s := range h.front.Load().gate.Stats() {
				ages[s.Name] = s.KeysAge.Seconds()
			}
			return ages
		},
	})
}

func (h *house) watchKeys() {
	h.metrics.Watch(admin.Gauge{
		Name: "chatpass_signing_key_seconds", Help: "Time until the next change of state of a signing key in that state.", Label: "state",
		Read: func() map[string]float64 {
			soonest := map[string]float64{}
			for _, k := range h.ring.List() {
				left, state := time.Until(k.Next).Seconds(), string(k.State)
				if sooner, known := soonest[state]; !k.Next.IsZero() && (!known || left < sooner) {
					soonest[state] = left
				}
			}
			return soonest
		},
	})
	h.metrics.Watch(admin.Gauge{
		Name: "chatpass_key_gate_blocked", Help: "Changes of signing keys that are due, by what stands against them.", Label: "reason",
		Read: func() map[string]float64 {
			blocked, all := h.ring.Blocked(), map[string]float64{}
			for _, by := range keys.Blocks() {
				all[string(by)] = float64(blocked[by])
			}
			return all
		},
	})
}

// live waits until the house is open, runs its background work until ctx ends, then closes what it works on.
func (h *house) live(ctx context.Context) error {
	if err := h.await(ctx); err != nil || !h.opened.Load() {
		return err
	}
	var work sync.WaitGroup
	for name, run := range map[string]func(context.Context) error{
		"keys": h.ring.Run, "sessions": h.sessions.Run, "store": h.store.Run, "refusals": h.refusals.Run, "status lists": h.lists.Run,
	} {
		work.Go(func() { h.keepRunning(ctx, name, run) })
	}
	if h.snapshot.path != "" {
		work.Go(func() { h.snapshot.keep(ctx, h.ring.Memento, h.log) })
	}
	work.Wait()
	return h.close()
}

func (h *house) close() error {
	var left error
	if h.ring != nil {
		left = h.ring.Close()
	}
	return errors.Join(left, h.module.close(), h.store.Close())
}

// keepRunning logs work that ends before its time: it must not, and nothing else would tell.
func (h *house) keepRunning(ctx context.Context, name string, run func(context.Context) error) {
	if err := run(ctx); err != nil && ctx.Err() == nil {
		h.log.Error("background work ended", "work", name, "err", err)
	}
}
