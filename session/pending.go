package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"chatpass/identity"
)

const (
	// maxPending bounds the sign-outs that wait for the store.
	maxPending = 10_000
	// pendingInterval is how often they are tried again.
	pendingInterval = time.Second
)

// pending remembers sign-outs that the store could not take: this replica obeys them at once, and
// writes them down when the store is back.
type pending struct {
	mu      sync.Mutex
	signOut map[Handle]signOut
}

type signOut struct{ app, cookie string }

func (p *pending) add(app, cookie string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.signOut) < maxPending {
		p.signOut[cookieHandle(cookie)] = signOut{app, cookie}
	}
}

func (p *pending) has(cookie string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.signOut[cookieHandle(cookie)]
	return ok
}

func (p *pending) remove(cookie string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.signOut, cookieHandle(cookie))
}

func (p *pending) list() []signOut {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]signOut, 0, len(p.signOut))
	for _, one := range p.signOut {
		all = append(all, one)
	}
	return all
}

// Settle tries once to write down the sign-outs that wait for the store.
func (s *Sessions) Settle(ctx context.Context) {
	for _, one := range s.pending.list() {
		live, err := s.find(ctx, one.app, one.cookie, 0)
		if err == nil {
			_, err = s.signOut(ctx, live, identity.SignedOut)
		}
		if err == nil || errors.Is(err, identity.ErrRejected) || errors.Is(err, ErrNotFound) {
			s.pending.remove(one.cookie)
			continue
		}
		return // the store is still away: the others would fail as well
	}
}
