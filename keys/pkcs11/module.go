//go:build pkcs11

// Package pkcs11 keeps signing keys in a PKCS#11 token (OASIS PKCS #11 v2.40), such as a hardware
// security module: they are made there and never leave it.
package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// A Config says where the token is.
type Config struct {
	Library string // path of the vendor's shared library
	Token   string // label of the token
	PIN     string // of the token's user
	Now     func() time.Time
}

const (
	// seats is how many sessions are open at most: small tokens have 16 for all replicas together.
	seats = 4
	// patience is how long a signature may take, waiting for a seat included.
	patience = 2 * time.Second
	// makingTime is how long it may take to make a key: RSA takes small tokens many seconds.
	makingTime = time.Minute
	// restartPause is the least time between two attempts to start the library anew.
	restartPause = time.Second
)

var (
	errAbsent   = errors.New("there is no such key in the token")
	errNoToken  = errors.New("no token of that label is present")
	errClosed   = errors.New("the token is closed")
	errBusy     = errors.New("the token does not answer")
	errUnsure   = errors.New("the key was not found, which may be an error of the token")
	errWrongPIN = errors.New("the token refused the PIN: it is not tried again, which could lock the token; correct it and restart")
)

// A Module is one token. It implements keys.Module.
type Module struct {
	cfg Config
	lib *pkcs11.Ctx
	// free holds the sessions that nobody uses.
	free chan *session

	// mu is held for reading while a session is used, and for writing to start the library anew.
	mu       sync.RWMutex
	life     int       // which start of the library this is; 0: it is not running
	slot     uint      // of the token, for this life
	starts   int       // how many there were
	tried    time.Time // when it was last started, or was to be
	down     error     // why it is not running
	hopeless bool      // it must not be tried any more
}

// Open loads the library. The token is asked when it is needed: it may be absent now.
func Open(cfg Config) (*Module, error) {
	lib := pkcs11.New(cfg.Library)
	if lib == nil {
		return nil, fmt.Errorf("load PKCS#11 library %s: it is none, or not for this machine", cfg.Library)
	}
	m := &Module{cfg: cfg, lib: lib, free: make(chan *session, seats), down: errNoToken}
	for range seats {
		m.free <- &session{}
	}
	return m, nil
}

// Close ends all sessions. If the token hangs, that is left to the end of the process.
func (m *Module) Close() error {
	if !m.mu.TryLock() {
		return errBusy
	}
	defer m.mu.Unlock()
	if m.down == errClosed {
		return nil
	}
	err := m.lib.Finalize()
	m.lib.Destroy()
	m.life, m.down, m.hopeless = 0, errClosed, true
	if err == pkcs11.Error(pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return nil // nobody has needed it, or it did not start
	}
	return err
}

// Check says whether the token is there and does what an algorithm needs. Only what may pass by itself is an
// identity.Outage.
func (m *Module) Check(algorithm string) error {
	needs, err := mechanismsOf(algorithm)
	if err != nil {
		return err
	}
	has, err := use(m, patience, func(*session) ([]*pkcs11.Mechanism, error) { return m.lib.GetMechanismList(m.slot) })
	if errors.Is(err, errWrongPIN) {
		return errWrongPIN
	}
	if err != nil {
		return err
	}
	for _, need := range []uint{needs.generate, needs.sign} {
		if !slices.ContainsFunc(has, func(m *pkcs11.Mechanism) bool { return m.Mechanism == need }) {
			return fmt.Errorf("token %q cannot do %s: it lacks mechanism 0x%X; choose another keys.algorithm", m.cfg.Token, algorithm, need)
		}
	}
	return nil
}

// Make makes a key that cannot be read out of the token. Its reference is its CKA_ID.
func (m *Module) Make(algorithm string) (reference []byte, public crypto.PublicKey, err error) {
	how, err := mechanismsOf(algorithm)
	if err != nil {
		return nil, nil, err
	}
	reference = make([]byte, 16)
	_, _ = rand.Read(reference) // never fails
	late := m.cfg.Now().Add(makingTime)
	public, err = use(m, makingTime, func(s *session) (crypto.PublicKey, error) {
		public, err := m.generate(s, how, reference)
		if err == nil && !m.cfg.Now().Before(late) { // nobody waits for it any more
			_, err = m.destroy(s, reference)
		}
		return public, err
	})
	return reference, public, err
}

// Signer signs with the key of that reference.
func (m *Module) Signer(reference []byte, public crypto.PublicKey) crypto.Signer {
	return &signer{m, bytes.Clone(reference), public}
}

// Destroy destroys the key of that reference. It returns nil if the token has none.
func (m *Module) Destroy(reference []byte) error {
	_, err := use(m, patience, func(s *session) (struct{}, error) { return m.destroy(s, reference) })
	if errors.Is(err, errAbsent) {
		return nil
	}
	return err
}
