//go:build !pkcs11

package main

import "chatpass/config"

// withPKCS11: this binary cannot use a PKCS#11 token; a configuration that names one was refused.
const withPKCS11 = false

func openModule(config.PKCS11) (module, error) { return noModule(), nil }
