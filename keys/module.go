package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"chatpass/identity"
)

// A Module makes private halves and keeps them to itself, such as a hardware security module. All
// replicas share it. Its methods may be called at any time from any goroutine, and end in bounded time
// whatever has become of the module; their errors are an [identity.Outage] then.
type Module interface {
	// Make makes a key for an algorithm of [Config]. The reference is what others call the key by.
	Make(algorithm string) (reference []byte, public crypto.PublicKey, err error)
	// Signer signs with the key of that reference. The module is asked when it signs, not before.
	Signer(reference []byte, public crypto.PublicKey) crypto.Signer
	// Destroy destroys the key of that reference. It returns nil if there certainly is none.
	Destroy(reference []byte) error
}

// trial is the `typ` of tokens that only show that a key signs. They never leave this room.
const trial = "trial"

// newKey makes a key where new ones are kept.
func (c *Config) newKey() (Record, error) {
	if c.outside() {
		reference, public, err := c.Module.Make(c.Algorithm)
		if err != nil {
			return Record{}, err
		}
		k, err := newRecord(c.Algorithm, public, reference)
		k.Outside = true
		return k, err
	}
	private, err := c.NewKey(c.Algorithm)
	if err != nil {
		return Record{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Record{}, fmt.Errorf("encode private key: %w", err)
	}
	return newRecord(c.Algorithm, private.Public(), secret)
}

// signer returns what signs with the key of a record.
func (r *Record) signer(public crypto.PublicKey, module Module) (crypto.Signer, error) {
	if r.Outside {
		return module.Signer(r.Private, public), nil
	}
	return privateHalf(r, public)
}

// destroySpent lets the module destroy the keys that no replica signs with any more, and returns their
// kids. It looks at the ring as stored and not as planned: what was only planned here may have come
// otherwise. A key that is compromised is left alone until every replica has seen it. Whoever writes
// first then writes down that they are gone; when nobody gets so far, they are asked for again.
func (r *Ring) destroySpent(snap Snapshot) (map[string]bool, error) {
	destroyed := map[string]bool{}
	if r.cfg.Module == nil {
		return destroyed, nil
	}
	t := r.begin(r.watch, snap.Keys)
	for i := range t.keys {
		k := &t.keys[i]
		if !k.Outside || k.Private == nil || !t.spent(k) || t.age(k) < 2*slowestTick {
			continue
		}
		if err := r.cfg.Module.Destroy(k.Private); err != nil {
			return destroyed, fmt.Errorf("destroy key %s: %w", k.KID, err)
		}
		destroyed[k.KID] = true
	}
	return destroyed, nil
}

// try signs with every key that the module keeps, so that readiness tells of an outage before a request
// meets it.
func (r *Ring) try(ctx context.Context) error {
	var mute *identity.Outage
	for name, s := range r.view.Load().signers {
		if !s.record.Outside {
			continue
		}
		class := r.Class(name)
		token, err := class.Sign(ctx, trial, []byte("{}"))
		if err == nil {
			_, err = class.Verify(token)
		}
		if err != nil {
			mute = cmp.Or(mute, &identity.Outage{Code: identity.NoSigningKey, Err: fmt.Errorf("try key %s: %w", s.record.KID, err)})
		}
	}
	r.mute.Store(mute)
	if mute == nil {
		return nil
	}
	return mute
}

// Close destroys the keys that a [Module] has made for this replica and that came into no ring. The
// ring is not to be used any more.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []error
	for _, k := range r.spares {
		if k.Outside {
			all = append(all, r.cfg.Module.Destroy(k.Private))
		}
	}
	r.spares = nil
	return errors.Join(all...)
}
