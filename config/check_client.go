package config

import (
	"maps"
	"slices"
)

func (k *checker) checkClient(path string, app *App, client *Client) {
	switch client.Type {
	case "browser":
		k.forbid(path, "a page cannot keep a credential", "auth", "secret", "jwks", "jwks_uri", "assertion_audience")
		if len(app.Origins) == 0 && k.fine(path+".type") && !k.faulty["apps."+app.Name+".origins"] {
			k.fault(path+".type", problem{"browser needs a page: the app has no origins", "write origins: [https://www.example.com] in the app"})
		}
	case "native":
		k.forbid(path, "an installed app cannot keep a credential", "auth", "secret", "jwks", "jwks_uri", "assertion_audience")
	case "backend":
		k.checkCredentials(path, &client.Credentials)
	}
	k.checkAccepts(path+".accepts", app, client)
}

func (k *checker) checkVerifier(path string, verifier *Verifier) {
	k.checkCredentials(path, &verifier.Credentials)
}

func (k *checker) forbid(path, why string, keys ...string) {
	for _, key := range keys {
		k.judge(path+"."+key, problem{"does not belong here: " + why, "remove it"})
	}
}

func (k *checker) checkCredentials(path string, c *Credentials) {
	switch {
	case !k.given(path + ".auth"):
		k.fault(path+".auth", problem{"is missing", "write auth: private_key_jwt or auth: client_secret_basic"})
	case c.Auth == "client_secret_basic":
		k.forbid(path, "client_secret_basic knows a secret only", "jwks", "jwks_uri", "assertion_audience")
		k.require(path+".secret", "secret: env:NAME")
	case c.Auth == "private_key_jwt":
		k.forbid(path, "private_key_jwt knows public keys only", "secret")
		k.checkKeySource(path, c)
	}
}

func (k *checker) require(path, example string) {
	if !k.given(path) {
		k.fault(path, problem{"is missing", "write " + example})
	}
}

func (k *checker) checkKeySource(path string, c *Credentials) {
	if k.given(path+".jwks") && k.given(path+".jwks_uri") {
		k.judge(path+".jwks_uri", problem{"is a second source of keys beside jwks", "keep one of them"})
	}
	if !k.given(path + ".jwks_uri") {
		k.require(path+".jwks", "jwks: file:/path or jwks_uri: https://host/path")
	}
	k.judge(path+".jwks", checkKeySet(c.JWKS))
}

// checkAccepts checks that a client exchanges tokens only of issuers that its app knows.
func (k *checker) checkAccepts(path string, app *App, client *Client) {
	for _, name := range slices.Sorted(maps.Keys(client.Accepts)) {
		at := path + "." + name
		if !slices.Contains(app.Issuers, name) {
			k.judge(at, unknownName(name, "no issuer of this app", app.Issuers))
			continue
		}
		if len(client.Accepts[name]) == 0 {
			k.judge(at, problem{"is empty", "write the upstream client ids that are accepted, or remove the key"})
		}
	}
}
