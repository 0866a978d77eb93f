package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAdvice(t *testing.T) {
	dir := files(t)
	if err := os.Chmod(filepath.Join(dir, "master.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := mustRead(t, dir, `issuer: https://chat-auth.example.com
store: sqlite:/var/lib/chatpass/chatpass.db
master_key: file:DIR/master.json
trusted_proxies: [10.0.0.0/8, 0.0.0.0/0, "::/0"]
issuers:
  corp: {issuer: https://login.example.com, client_id: chatpass}
`+minimal[strings.Index(minimal, "apps:"):])
	const want = `chatpass.yaml:3:13: master_key: file DIR/master.json may be read by everybody on this machine; run chmod o-r DIR/master.json
chatpass.yaml:4:31: trusted_proxies[1]: believes X-Forwarded-* of everybody; write the networks of your proxies
chatpass.yaml:4:43: trusted_proxies[2]: believes X-Forwarded-* of everybody; write the networks of your proxies
chatpass.yaml:6:56: issuers.corp.client_id: has neither client_secret nor private_key; add one, unless the issuer knows us as a public client
`
	if diff := cmp.Diff(want, list(cfg.Advice(), dir)); diff != "" {
		t.Error(diff)
	}
}

// Each line that is changed in a file without advice brings the one advice that belongs to it.
func TestAdviceIsOnWhatWasChanged(t *testing.T) {
	const calm = `dangerously_allow_http: true
issuer: https://chat-auth.example.com
store: sqlite:/var/lib/chatpass/chatpass.db
master_key: env:MASTER_KEY
trusted_proxies: [10.0.0.0/8]
issuers:
  corp: {issuer: https://login.example.com, client_id: chatpass, client_secret: env:SECRET}
  plant: {issuer: https://sso.internal, jwks: env:KEY_SET}
apps:
  support:
    audience: [https://api.example.com]
    issuers: [corp, plant]
    origins: [https://www.example.com, http://localhost:3000]
    return_to: [https://WWW.example.com:443/back]
    clients:
      web: {type: browser}
      ios: {type: native, accepts: {plant: [ios]}}
      crm: {type: backend, auth: client_secret_basic, secret: env:LEGACY_SECRET}
    verifiers:
      orders: {auth: client_secret_basic, secret: env:ORDERS_SECRET}
`
	tests := map[string]struct{ old, new, want string }{
		"nothing":                         {"", "", ""},
		"TLS without a proxy":             {"trusted_proxies: [10.0.0.0/8]", `tls: {cert: "file:DIR/tls.crt", key: "file:DIR/tls.key"}`, ""},
		"neither TLS nor a proxy":         {"trusted_proxies: [10.0.0.0/8]\n", "", "issuer: is https, and there is neither tls nor trusted_proxies: everybody comes from the proxy's address, and the limit on refusals per IP is one for all of them; write trusted_proxies: [network of the proxy], or tls"},
		"neither, and no limit":           {"trusted_proxies: [10.0.0.0/8]", "limits: {refusals_per_minute_per_ip: 0}", ""},
		"short secret":                    {"env:LEGACY_SECRET", "env:SECRET", "apps.support.clients.crm.secret: is short or of too few different characters, and could be guessed; make one with openssl rand -hex 32"},
		"filler for a secret":             {"env:ORDERS_SECRET", "env:FILLER", "apps.support.verifiers.orders.secret: is short or of too few different characters, and could be guessed; make one with openssl rand -hex 32"},
		"a console, which nothing serves": {"trusted", "console: {secret: env:ORDERS_SECRET}\ntrusted", "console: has no effect yet: this version has no console; remove it"},
		"status list kept for too long":   {"trusted", "status: {ttl: 10m}\ntrusted", "status.ttl: is not less than the context_lifetime of app support: a sign-out reaches an offline verifier when the context is over anyway; write less than 10m0s"},
		"status list kept just less":      {"trusted", "status: {ttl: 599s}\ntrusted", ""},
		"native client without tokens":    {", accepts: {plant: [ios]}", "", "apps.support.clients.ios: gets no context: a native client has only ID tokens to exchange, and accepts names none; write accepts: {corp: [client id of the installed app there]}"},
		"no issuer to sign in with":       {"issuers: [corp, plant]", "issuers: [plant]", "apps.support.issuers: can sign nobody in: all of them have a static key set, so pages can only exchange ID tokens that they have already; add an issuer that can be reached, unless that is meant"},
		"first issuer signs nobody in":    {"[corp, plant]", "[plant, corp]", "apps.support.issuers[0]: plant has a static key set and is the default: a page that names no issuer can sign nobody in; write corp first"},
		"page on another site":            {"https://www.example.com,", "https://www.example.com, https://www.example.net,", "apps.support.origins[1]: is on another site than issuer: browsers do not send our cookie from there, so nobody stays signed in; serve chatpass from a host of the pages' site, or write cookie: cross-site"},
		"page of another scheme":          {"https://www.example.com,", "https://www.example.com, http://www.example.com,", "apps.support.origins[1]: is on another site than issuer: browsers do not send our cookie from there, so nobody stays signed in; serve chatpass from a host of the pages' site, or write cookie: cross-site"},
		"cookie across sites":             {"issuer: https://chat-auth.example.com", "cookie: cross-site\nissuer: https://chat-auth.example.net", ""},
		"cookie looser than needed":       {"trusted", "cookie: cross-site\ntrusted", "cookie: is looser than it need be: every page is on the site of issuer; write same-site"},
		"return to a page of no origin":   {"443/back", "8443/back", "apps.support.return_to[0]: is on none of the app's origins: no sign-in may lead there; add https://www.example.com:8443 to origins, unless it is for sign-out alone"},
		"no page, so nothing about any":   {"origins: [https://www.example.com, http://localhost:3000]\n    return_to: [https://WWW.example.com:443/back]\n    clients:\n      web: {type: browser}\n", "clients:\n", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(calm, test.old, test.new, 1)
			if text == calm && test.old != "" {
				t.Fatal("nothing was changed")
			}
			dir := files(t)
			_, got, _ := strings.Cut(list(mustRead(t, dir, text).Advice(), dir), ": ")
			if diff := cmp.Diff(test.want, strings.TrimSpace(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
