//go:build pkcs11

package pkcs11

import (
	"errors"
	"fmt"
	"time"

	"github.com/miekg/pkcs11"

	"chatpass/identity"
)

// A session is a place for one user of the token at a time.
type session struct {
	life    int // of the library, in which it was opened; 0: not yet
	handle  pkcs11.SessionHandle
	objects map[string]pkcs11.ObjectHandle // found keys, by reference
}

// use lets do have a session, and waits for it no longer than limit, whatever the library does; a session
// in which the library hangs is free again when it returns. Whatever fails is tried once more after
// the library was started anew: sessions end when a token is pulled out or has gone to sleep, and some
// libraries answer for ever from what they remember. So errAbsent is believed of a fresh start alone.
func use[T any](m *Module, limit time.Duration, do func(*session) (T, error)) (T, error) {
	var none T
	late := time.After(limit)
	var s *session
	select {
	case s = <-m.free:
	case <-late:
		return none, outage(errBusy)
	}
	type result struct {
		value T
		err   error
	}
	ended := make(chan result, 1)
	go func() {
		defer func() { m.free <- s }()
		value, life, err := attempt(m, s, do)
		if err != nil && m.restart(life) {
			value, _, err = attempt(m, s, do)
		} else if errors.Is(err, errAbsent) {
			err = errUnsure
		}
		ended <- result{value, err}
	}()
	select {
	case r := <-ended:
		return r.value, outage(r.err)
	case <-late:
		return none, outage(errBusy)
	}
}

func outage(err error) error {
	if err == nil {
		return nil
	}
	return &identity.Outage{Code: identity.NoSigningKey, Err: fmt.Errorf("PKCS#11: %w", err)}
}

// attempt uses a session of the running library, and returns which life of it that was.
func attempt[T any](m *Module, s *session, do func(*session) (T, error)) (value T, life int, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.life == 0 {
		return value, 0, m.down
	}
	if s.life != m.life {
		if s.handle, err = m.lib.OpenSession(m.slot, readWrite); err != nil {
			return value, m.life, fmt.Errorf("open session: %w", err)
		}
		s.life, s.objects = m.life, map[string]pkcs11.ObjectHandle{}
	}
	value, err = do(s)
	return value, m.life, err
}

const readWrite = pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION

// restart begins a new life of the library if that one is still the latest, and says whether there is
// something new to be tried. It waits until nobody uses a session.
func (m *Module) restart(life int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life != life {
		return true
	}
	now := m.cfg.Now()
	if m.hopeless || !m.tried.IsZero() && now.Sub(m.tried).Abs() < restartPause {
		return false
	}
	m.tried = now
	if m.starts > 0 {
		_ = m.lib.Finalize() // whether it liked the end of its last life is of no interest
	}
	m.starts++
	if m.down = m.start(); m.down == nil {
		m.life = m.starts
		return true
	}
	m.life, m.hopeless = 0, errors.Is(m.down, errWrongPIN)
	return true
}

// start initialises the library, finds the token and logs in. One session stays open for that, and is
// used for nothing else: the login ends with the last session.
func (m *Module) start() error {
	if err := m.lib.Initialize(); err != nil {
		return fmt.Errorf("initialise library: %w", err)
	}
	slots, err := m.lib.GetSlotList(true)
	if err != nil {
		return fmt.Errorf("list slots: %w", err)
	}
	for _, slot := range slots {
		if info, err := m.lib.GetTokenInfo(slot); err == nil && info.Label == m.cfg.Token {
			m.slot = slot
			return m.login()
		}
	}
	return fmt.Errorf("%w: %q", errNoToken, m.cfg.Token)
}

func (m *Module) login() error {
	handle, err := m.lib.OpenSession(m.slot, readWrite)
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	switch err := m.lib.Login(handle, pkcs11.CKU_USER, m.cfg.PIN); err {
	case nil, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		return nil
	case pkcs11.Error(pkcs11.CKR_PIN_INCORRECT), pkcs11.Error(pkcs11.CKR_PIN_INVALID), pkcs11.Error(pkcs11.CKR_PIN_LEN_RANGE),
		pkcs11.Error(pkcs11.CKR_PIN_LOCKED), pkcs11.Error(pkcs11.CKR_PIN_EXPIRED):
		return fmt.Errorf("log in: %w: %w", err, errWrongPIN)
	default:
		return fmt.Errorf("log in: %w", err)
	}
}
