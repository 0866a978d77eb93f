package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Why a ring in the store is not believed. None of them is an outage: to wait helps nothing. [Accept] takes
// the ring all the same.
var (
	// ErrOlderRing: the ring, or the chain of its events, is not one that follows what was seen before.
	ErrOlderRing = errors.New("the key ring in the store was put back: it is older than one that was seen before")
	// ErrBrokenChain: an event is missing, was altered or was put in another place, or the chain does not
	// end where the ring says.
	ErrBrokenChain = errors.New("the chain of key events is broken")
	// ErrNoRing: the store is in use, but there is no ring in it.
	ErrNoRing = errors.New("the key ring is gone from a store that is in use")
)

func refused(err error) bool {
	return errors.Is(err, ErrOlderRing) || errors.Is(err, ErrBrokenChain) || errors.Is(err, ErrNoRing)
}

// A Memory is what somebody knows who has seen the ring: how far it had come, and which keys were given up.
// Whoever has none believes any ring that fits its events.
type Memory struct {
	Version  int64     `json:"version"`
	End      Mark      `json:"end"`
	Accepted time.Time `json:"accepted,omitzero"`
	// GivenUp are the kids of all keys that were ever seen compromised. They stay so in any ring.
	GivenUp []string `json:"given_up,omitempty"`
}

// after is the memory of somebody who believes that ring.
func (m Memory) after(s Snapshot) Memory {
	m.Version, m.End, m.Accepted = s.Version, s.End, s.Accepted
	var given []string
	for _, k := range s.Keys {
		if k.state() == Compromised {
			given = append(given, k.KID)
		}
	}
	return m.with(given)
}

// with is the memory that also knows of those keys that they were given up.
func (m Memory) with(given []string) Memory {
	all := slices.Concat(m.GivenUp, given)
	slices.Sort(all)
	m.GivenUp = slices.Compact(all)
	return m
}

// recall returns the keys with those compromised, as of now, that were given up in what is remembered. A
// hold does not keep them: it is older than that.
func (m Memory) recall(keys []Record, now time.Time) []Record {
	keys = slices.Clone(keys)
	for i := range keys {
		k := &keys[i]
		if _, given := slices.BinarySearch(m.GivenUp, k.KID); given && k.Compromised.IsZero() {
			k.Compromised, k.Held = now, false
		}
	}
	return keys
}

// judge says whether a ring is to be believed: it must be where its events end, and follow what is
// remembered, unless it was accepted since. Its error is one of those that are refused, or the store's.
func (r *Ring) judge(ctx context.Context, s Snapshot) error {
	m := r.memory
	since := s.Accepted.Compare(m.Accepted)
	switch {
	case s.Version == 0 && (s.Used || m.Version > 0):
		return ErrNoRing
	case since <= 0 && s.Version < m.Version:
		return fmt.Errorf("%w (it is at version %d, and was at %d)", ErrOlderRing, s.Version, m.Version)
	}
	if err := r.endsThere(ctx, s.End); err != nil || since > 0 {
		return err
	}
	same, err := r.holds(ctx, m.End)
	if err == nil && !same {
		err = fmt.Errorf("%w (its events are others from event %d on, or before)", ErrOlderRing, m.End.Events)
	}
	return err
}

// endsThere wants the chain of events to end at that mark.
func (r *Ring) endsThere(ctx context.Context, end Mark) error {
	same, err := r.holds(ctx, end)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("%w: event %d, the last of the ring, is missing or another one", ErrBrokenChain, end.Events)
	}
	beyond, err := r.cfg.Store.Link(ctx, end.Events+1)
	if err == nil && beyond != nil {
		err = fmt.Errorf("%w: the ring ends with event %d, and there are later ones: it was put back without its events", ErrBrokenChain, end.Events)
	}
	return err
}

// holds says whether the chain of events goes through that mark.
func (r *Ring) holds(ctx context.Context, at Mark) (bool, error) {
	if at.Events == 0 {
		return true, nil
	}
	link, err := r.cfg.Store.Link(ctx, at.Events)
	return bytes.Equal(link, at.Head), err
}

// note keeps why what is due cannot be done, if it cannot.
func (r *Ring) note(err error) {
	var by *Block
	switch {
	case refused(err):
		by = new(BlockedByHistory)
	case err != nil:
		by = new(BlockedByStore)
	}
	r.stuck.Store(by)
}

// stuckBy is what stands against every change; empty if nothing does.
func (r *Ring) stuckBy() Block {
	if by := r.stuck.Load(); by != nil {
		return *by
	}
	return ""
}
