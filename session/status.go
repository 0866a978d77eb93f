package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Progress says how far a sign-in has come.
type Progress struct {
	State ProgressState
	// Error is the OAuth error of a failed sign-in.
	Error string
}

// A ProgressState is a sign-in's state as the page that started it may know it.
type ProgressState string

// The states of a sign-in.
const (
	Pending  ProgressState = "pending" // also of a sign-in we do not know
	Complete ProgressState = "complete"
	Failed   ProgressState = "failed"
	Expired  ProgressState = "expired" // its result has been claimed
)

// maxWaiters bounds the requests that wait at once; beyond it a page is answered at once and asks again.
const maxWaiters = 1000

// progressInterval is how often a waiting page's result is looked up.
const progressInterval = 500 * time.Millisecond

// Progress tells a page that shows the transaction's verifier how its sign-in stands. It waits up to
// wait for a result; of two that wait for the same transaction the second does not.
func (s *Sessions) Progress(ctx context.Context, txn, verifier string, wait time.Duration) (Progress, error) {
	p, err := s.progress(ctx, txn, verifier)
	if wait <= 0 || err != nil || p.State != Pending || !s.waiters.enter(txn) {
		return p, err
	}
	defer s.waiters.leave(txn)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return p, nil
		case <-tick.C:
		}
		next, err := s.progress(ctx, txn, verifier)
		if ctx.Err() != nil {
			return p, nil
		}
		if err != nil || next.State != Pending {
			return next, err
		}
	}
}

func (s *Sessions) progress(ctx context.Context, txn, verifier string) (Progress, error) {
	p, err := s.look(ctx, txn, verifier)
	if err != nil || p.State != Pending {
		return p, err
	}
	return s.look(ctx, failed(txn), verifier)
}

func (s *Sessions) look(ctx context.Context, txn, verifier string) (Progress, error) {
	r, err := s.cfg.Store.Result(ctx, txn)
	switch {
	case errors.Is(err, ErrTaken):
		return Progress{State: Expired}, nil
	case errors.Is(err, ErrNotFound):
		return Progress{State: Pending}, nil
	case err != nil:
		return Progress{State: Pending}, fmt.Errorf("read sign-in result: %w", err)
	case !proves(verifier, r.Challenge):
		return Progress{State: Pending}, nil
	case r.Error != "":
		return Progress{State: Failed, Error: r.Error}, nil
	}
	return Progress{State: Complete}, nil
}

// waiters keeps the transactions that somebody waits for.
type waiters struct {
	mu   sync.Mutex
	busy map[string]bool
}

func (w *waiters) enter(txn string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy[txn] || len(w.busy) >= maxWaiters {
		return false
	}
	w.busy[txn] = true
	return true
}

func (w *waiters) leave(txn string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.busy, txn)
}
