//go:build pkcs11

package pkcs11

// ErrBusy is that the library does not answer.
var ErrBusy = errBusy

// Hang makes the library hang for everybody, until it is let go.
func (m *Module) Hang() (letGo func()) {
	m.mu.Lock()
	return m.mu.Unlock
}
