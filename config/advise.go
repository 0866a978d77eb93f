package config

import (
	"net/url"
	"slices"
	"strings"
)

// Least length and variety of a secret that two programs share: 128 bits, written as hexadecimal
// digits. Of a text's entropy nothing more can be seen.
const (
	minSecret  = 32
	minVariety = 8 // random digits of any kind have more; words and filler written again and again have not
)

// adviseAll notes what a file without fault says, and its operator will hardly mean.
func (k *checker) adviseAll() {
	k.adviseService()
	for i := range k.cfg.Apps {
		app := &k.cfg.Apps[i]
		path := "apps." + app.Name
		k.adviseSecrets(path, app)
		k.adviseNatives(path, app)
		if app.servesPages() {
			k.advisePages(path, app)
		}
	}
}

func (k *checker) adviseService() {
	for i, network := range k.cfg.TrustedProxies {
		if network.Bits() == 0 {
			k.advise(indexed("trusted_proxies", i), problem{"believes X-Forwarded-* of everybody", "write the networks of your proxies"})
		}
	}
	issuer := parsed(k.cfg.Issuer)
	hidden := issuer.Scheme == "https" && !isLoopback(issuer.Hostname()) && len(k.cfg.TLS.Cert) == 0 && len(k.cfg.TrustedProxies) == 0
	if hidden && k.cfg.Limits.RefusalsPerMinutePerIP > 0 {
		k.advise("issuer", problem{"is https, and there is neither tls nor trusted_proxies: everybody comes from the proxy's address, and the limit on refusals per IP is one for all of them", "write trusted_proxies: [network of the proxy], or tls"})
	}
	if k.cfg.Cookie == "cross-site" && !slices.ContainsFunc(k.cfg.Apps, k.hasFarPages) {
		k.advise("cookie", problem{"is looser than it need be: every page is on the site of issuer", "write same-site"})
	}
	if k.given("console.secret") {
		k.advise("console", problem{"has no effect yet: this version has no console", "remove it"})
	}
	for i := range k.cfg.Apps {
		if app := &k.cfg.Apps[i]; app.ContextLifetime <= k.cfg.Status.TTL {
			k.advise("status.ttl", problem{"is not less than the context_lifetime of app " + app.Name + ": a sign-out reaches an offline verifier when the context is over anyway", "write less than " + app.ContextLifetime.String()})
			return
		}
	}
}

func (k *checker) adviseSecrets(path string, app *App) {
	for _, c := range app.Clients {
		k.adviseSecret(path+".clients."+c.Name+".secret", c.Secret)
	}
	for _, v := range app.Verifiers {
		k.adviseSecret(path+".verifiers."+v.Name+".secret", v.Secret)
	}
}

// adviseSecret judges a secret that the operator chose; that of an issuer is the issuer's choice.
func (k *checker) adviseSecret(path string, secret Secret) {
	if k.given(path) && guessable(secret.Reveal()) {
		k.advise(path, problem{"is short or of too few different characters, and could be guessed", "make one with openssl rand -hex 32"})
	}
}

// guessable says whether a text is too short for a secret, or made of too little.
func guessable(text string) bool {
	different := map[rune]bool{}
	for _, r := range text {
		different[r] = true
	}
	return len(text) < minSecret || len(different) < minVariety
}

func (k *checker) adviseNatives(path string, app *App) {
	for _, c := range app.Clients {
		if c.Type == "native" && len(c.Accepts) == 0 {
			k.advise(path+".clients."+c.Name, problem{"gets no context: a native client has only ID tokens to exchange, and accepts names none", "write accepts: {" + app.Issuers[0] + ": [client id of the installed app there]}"})
		}
	}
}

// servesPages says whether pages ask for the app's contexts.
func (a *App) servesPages() bool {
	return slices.ContainsFunc(a.Clients, func(c Client) bool { return c.Type == "browser" })
}

// hasFarPages does not count pages on a developer's own machine.
func (k *checker) hasFarPages(app App) bool {
	own := parsed(k.cfg.Issuer)
	return slices.ContainsFunc(app.Origins, func(origin string) bool {
		page := parsed(origin)
		return foreign(own, page) && isLoopback(page.Hostname()) == isLoopback(own.Hostname())
	})
}

// advisePages looks at what a page meets that wants to sign somebody in.
func (k *checker) advisePages(path string, app *App) {
	switch at := slices.IndexFunc(app.Issuers, k.reachable); {
	case at < 0:
		k.advise(path+".issuers", problem{"can sign nobody in: all of them have a static key set, so pages can only exchange ID tokens that they have already", "add an issuer that can be reached, unless that is meant"})
		return
	case at > 0:
		k.advise(indexed(path+".issuers", 0), problem{app.Issuers[0] + " has a static key set and is the default: a page that names no issuer can sign nobody in", "write " + app.Issuers[at] + " first"})
	}
	own := parsed(k.cfg.Issuer)
	for i, origin := range app.Origins {
		if page := parsed(origin); k.cfg.Cookie == "same-site" && !isLoopback(page.Hostname()) && foreign(own, page) {
			k.advise(indexed(path+".origins", i), problem{"is on another site than issuer: browsers do not send our cookie from there, so nobody stays signed in", "serve chatpass from a host of the pages' site, or write cookie: cross-site"})
		}
	}
	for i, back := range app.ReturnTo {
		if !slices.Contains(app.Origins, originOf(parsed(back))) {
			k.advise(indexed(path+".return_to", i), problem{"is on none of the app's origins: no sign-in may lead there", "add " + originOf(parsed(back)) + " to origins, unless it is for sign-out alone"})
		}
	}
}

// reachable says whether an issuer can be asked to sign people in: one with a static key set cannot.
func (k *checker) reachable(name string) bool {
	return slices.ContainsFunc(k.cfg.Issuers, func(i Issuer) bool { return i.Name == name && len(i.JWKS) == 0 })
}

// parsed is the URL of a value without fault.
func parsed(text string) *url.URL {
	u, _ := url.Parse(text)
	return u
}

// originOf is the origin of a URL (RFC 6454 §6.2), as browsers write it.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	for scheme, port := range map[string]string{"http": "80", "https": "443"} {
		if u.Scheme == scheme && u.Port() == port {
			host = strings.TrimSuffix(host, ":"+port)
		}
	}
	return u.Scheme + "://" + host
}

// foreign says whether two URLs are surely not of one site: another scheme, or hosts with less than two
// labels in common. Where it takes the list of public suffixes to tell, they may be of one.
func foreign(a, b *url.URL) bool {
	one, other := strings.ToLower(a.Hostname()), strings.ToLower(b.Hostname())
	return a.Scheme != b.Scheme || one != other && commonLabels(one, other) < 2
}

// commonLabels counts the labels that two host names share, from the right.
func commonLabels(one, other string) int {
	a, b := strings.Split(one, "."), strings.Split(other, ".")
	n := 0
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}
