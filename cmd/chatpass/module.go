package main

import (
	"errors"
	"fmt"

	"chatpass/config"
	"chatpass/identity"
	"chatpass/keys"
)

// A module is where signing keys are made and kept if that is not the store.
type module struct {
	keys.Module // nil: in the store
	// check says whether the module can make and use keys of an algorithm. An [identity.Outage] may pass.
	check func(algorithm string) error
	close func() error
}

func noModule() module {
	return module{check: func(string) error { return nil }, close: func() error { return nil }}
}

// openModule opens the module if there is to be one. What only time can mend does not stop the start: others
// need the key set meanwhile.
func (h *house) openModule(c config.Keys) error {
	m, err := openModule(c.PKCS11)
	if err != nil {
		return err
	}
	h.module = m
	if c.PKCS11.Leave {
		return nil
	}
	err = m.check(c.Algorithm)
	if _, away := errors.AsType[*identity.Outage](err); away {
		h.log.Error("the token of the signing keys cannot be asked: nothing is signed until it can", "err", err)
		return nil
	}
	return err
}

// checkModule tries the token of the signing keys.
func checkModule(c config.Keys) []finding {
	if c.PKCS11.Module == "" {
		return nil
	}
	m, err := openModule(c.PKCS11)
	if err == nil {
		err = errors.Join(m.check(c.Algorithm), m.close())
	}
	if err != nil {
		return []finding{{"token", statusFault, err.Error()}}
	}
	return []finding{{"token", statusOK, fmt.Sprintf("%q makes and uses keys of %s", c.PKCS11.Token, c.Algorithm)}}
}
