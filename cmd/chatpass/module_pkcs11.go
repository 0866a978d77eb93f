//go:build pkcs11

package main

import (
	"time"

	"chatpass/config"
	"chatpass/keys/pkcs11"
)

// withPKCS11: this binary can use a PKCS#11 token.
const withPKCS11 = true

// openModule opens the token that the configuration names.
func openModule(c config.PKCS11) (module, error) {
	if c.Module == "" {
		return noModule(), nil
	}
	m, err := pkcs11.Open(pkcs11.Config{Library: c.Module, Token: c.Token, PIN: c.PIN.Reveal(), Now: time.Now})
	if err != nil {
		return noModule(), err
	}
	return module{m, m.Check, m.Close}, nil
}
