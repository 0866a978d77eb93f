package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"chatpass/seal"
	"chatpass/store"
)

func TestStoreIsJudgedByItsClockAndStandby(t *testing.T) {
	const postgres, sqlite = "PostgreSQL 15.18", "SQLite 3.53.0"
	const ok, lost = "ok %s, schema 2, answers in 410µs, %s", "advice PostgreSQL has no synchronous standby: a failover may lose acknowledged sign-outs; set synchronous_standby_names"
	rows := []struct {
		engine  string
		skew    time.Duration
		standby bool
		want    []string
	}{
		{sqlite, 0, false, []string{fmt.Sprintf(ok, sqlite, "no difference to its clock could be told")}},
		{postgres, 0, true, []string{fmt.Sprintf(ok, postgres, "no difference to its clock could be told")}},
		{postgres, time.Second, false, []string{fmt.Sprintf(ok, postgres, "this machine's clock is 1s ahead of the store's"), lost}},
		{postgres, -1500 * time.Millisecond, true, []string{
			fmt.Sprintf(ok, postgres, "this machine's clock is 1.5s behind the store's"),
			"advice this machine's clock is 1.5s behind the store's; set the clocks of both by NTP",
		}},
		{postgres, 31 * time.Second, true, []string{
			fmt.Sprintf(ok, postgres, "this machine's clock is 31s ahead of the store's"),
			"fault this machine's clock is 31s ahead of the store's: tokens and keys would be judged by a wrong time; set the clocks of both by NTP",
		}},
		{postgres, -time.Minute, true, []string{
			fmt.Sprintf(ok, postgres, "this machine's clock is 1m0s behind the store's"),
			"fault this machine's clock is 1m0s behind the store's: tokens and keys would be judged by a wrong time; set the clocks of both by NTP",
		}},
	}
	for _, row := range rows {
		var got []string
		for _, f := range judgeStore(store.About{Engine: row.engine, Schema: 2, Latency: 412 * time.Microsecond, Skew: row.skew, Synchronous: row.standby}) {
			if f.Part != "store" {
				t.Errorf("got part %q", f.Part)
			}
			got = append(got, string(f.Status)+" "+f.Text)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s %v: %s", row.engine, row.skew, diff)
		}
	}
}

// A bench is an issuer on loopback and a configuration that trusts it.
type bench struct {
	*httptest.Server
	dir  string
	key  *ecdsa.PrivateKey
	down bool
}

func newBench(t *testing.T) *bench {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir(), key: key}
	b.Server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.Close)
	b.write(t, "client.pem", private(t, key))
	master, err := seal.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "master.json", master)
	b.write(t, "chatpass.yaml", fmt.Appendf(nil, `
issuer: http://localhost:8080
store: sqlite:%[1]s/state.db
master_key: file:%[1]s/master.json
issuers:
  corp: {issuer: "%[2]s", client_id: chatpass, private_key: "file:%[1]s/client.pem"}
  fixed: {issuer: https://fixed.example, jwks: "file:%[1]s/jwks.json"}
  other: {issuer: "%[2]s/other"}
apps:
  support:
    audience: [https://api.example.com]
    issuers: [corp]
    origins: [https://www.example.com]
    admit: request.origin == 'https://www.example.com' && client.app == 'support'
    subject: claims.email
    clients:
      crm: {type: backend, auth: client_secret_basic, secret: "file:%[1]s/master.json", accepts: {corp: [crm]}}
      signer: {type: backend, auth: private_key_jwt, jwks_uri: "%[2]s/client-keys", accepts: {corp: [other]}}
      mute: {type: backend, auth: private_key_jwt, jwks_uri: "%[2]s/other/keys", accepts: {corp: [other]}}
      web: {type: browser}
`, b.dir, b.URL))
	return b
}

func private(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (b *bench) write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (b *bench) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	var body any = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: b.key.Public(), KeyID: "k", Use: "sig"}}}
	switch {
	case b.down || strings.HasPrefix(r.URL.Path, "/other"):
		http.Error(w, "down", http.StatusBadGateway)
		return
	case r.URL.Path == "/.well-known/openid-configuration":
		body = map[string]any{
			"issuer": b.URL, "authorization_endpoint": b.URL + "/a", "token_endpoint": b.URL + "/t", "jwks_uri": b.URL + "/keys",
			"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		}
	}
	_ = json.NewEncoder(w).Encode(body)
}

// sign writes an ID token to a file.
func (b *bench) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: b.key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := json.Marshal(claims)
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return b.write(t, "token.jwt", []byte("\n"+token+"\n"))
}

func (b *bench) check(args ...string) (string, int) {
	var out bytes.Buffer
	code := run(context.Background(), append([]string{"check", "-c", filepath.Join(b.dir, "chatpass.yaml")}, args...), streams{&out, &out})
	return out.String(), code
}

func TestSampleOfALivingIssuerIsVerified(t *testing.T) {
	b := newBench(t)
	b.write(t, "jwks.json", mustJSON(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: b.key.Public(), KeyID: "k", Use: "sig"}}}))
	now := time.Now().Unix()
	good := func() map[string]any {
		return map[string]any{"iss": b.URL, "sub": "u-81", "aud": "chatpass", "iat": now - 10, "exp": now + 300, "email": "alice@example.com"}
	}
	rows := []struct {
		name   string
		change func(map[string]any)
		args   []string
		code   int
		want   []string
	}{
		{"from a sign-in", func(map[string]any) {}, nil, 0, []string{"App support: its person signs in, by browser client web\n", "The app's rules add no claims.", "App support: it may not be exchanged by backend client crm, CP-207\n"}},
		{"from a sign-in, shown", func(map[string]any) {}, []string{"--show"}, 0, []string{"Customer id: alice@example.com"}},
		{"shown as JSON", func(map[string]any) {}, []string{"--show", "--json"}, 0, []string{`"customer_id": "alice@example.com"`, `"use": "sign-in",`, `"use": "exchange",`}},
		{"expired", func(c map[string]any) { c["iat"], c["exp"] = now-400, now-100 }, nil, 0, []string{"The token expired 1m4", "which is normal for a sample", "its person signs in"}},
		{"not expired and too old", func(c map[string]any) { c["iat"], c["exp"] = now-4000, now+100 }, nil, 0, []string{"The token was issued 1h6m4", "too long for most exchanges", "its person signs in"}},
		{"issued ahead", func(c map[string]any) { c["iat"] = now + 900 }, nil, 1, []string{"CP-206", "FAILED"}},
		{"expired before it was issued", func(c map[string]any) { c["exp"] = now - 1000 }, nil, 1, []string{"CP-205"}},
		{"no iat", func(c map[string]any) { delete(c, "iat") }, nil, 1, []string{"CP-214", "no iat"}},
		{"iat beyond all reason", func(c map[string]any) { c["iat"], c["exp"] = -5e300, 1 }, nil, 1, []string{"CP-110"}},
		{"a rule that needs an origin", func(c map[string]any) { c["aud"] = "crm" }, nil, 1, []string{"it may not be exchanged by backend client crm, CP-302", "evaluation error at 1:8"}},
		{"no subject", func(c map[string]any) { delete(c, "email") }, nil, 1, []string{"CP-305", "no claim email at 1:7"}},
		{"an issuer that no app lists", func(c map[string]any) { c["iss"] = "https://fixed.example" }, nil, 1, []string{"Issuer fixed is in the file, and no app lists it in its issuers.", "In no app: refused, CP-201"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			claims := good()
			row.change(claims)
			out, code := b.check(append(row.args, "--token", b.sign(t, claims))...)
			if code != row.code {
				t.Errorf("got exit code %d, want %d", code, row.code)
			}
			for _, want := range row.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if len(row.args) == 0 && (strings.Contains(out, "alice") || strings.Contains(out, "u-81")) {
				t.Errorf("a person is in\n%s", out)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(b.dir, "state.db")); err == nil {
		t.Error("a store was made")
	}
	b.down = true
	path := b.sign(t, good())
	out, code := b.check("--token", path)
	for _, want := range []string{"App support: cannot tell whether its person signs in, by browser client web, CP-902\n", "status 502 in place of its discovery document", "With --offline the rules are tried without the issuer."} {
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("issuer down: exit %d, no %q in\n%s", code, want, out)
		}
	}
	if out, code := b.check("--token", path, "--offline"); code != 0 || !strings.Contains(out, "the signature was not checked") {
		t.Errorf("offline: exit %d\n%s", code, out)
	}
	if out, code := b.check("--token", b.write(t, "large", bytes.Repeat([]byte("x"), maxSample+1))); code != 1 || !strings.Contains(out, "more than 65536 bytes") {
		t.Errorf("too large: exit %d\n%s", code, out)
	}
}

// A sample is tried for each use that it may have, and by clients that would come with it.
func TestSampleIsTriedForWhatItMayBeGoodFor(t *testing.T) {
	b := newBench(t)
	b.write(t, "jwks.json", mustJSON(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: b.key.Public(), KeyID: "k", Use: "sig"}}}))
	const tenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
	b.write(t, "chatpass.yaml", fmt.Appendf(nil, `
issuer: http://localhost:8080
store: sqlite:%[1]s/state.db
master_key: file:%[1]s/master.json
issuers:
  entra: {issuer: "https://login.example.com/{tenantid}/v2.0", tenants: [%[2]s], client_id: desk}
  corp: {issuer: https://corp.example.com, client_id: chatpass, userinfo: true}
  agents: {issuer: https://agents.example.com}
  plant: {issuer: https://plant.example.com, client_id: chatpass, jwks: "file:%[1]s/jwks.json"}
apps:
  support:
    audience: [https://api.example.com]
    issuers: [entra, corp, plant]
    origins: [https://www.example.com]
    scopes: [chat:read, chat:write]
    claims: {groups: "claims.?groups"}
    actors:
      - {issuer: agents, accepts: [desk], admit: "'agents' in claims.groups", scopes: [chat:read]}
    clients:
      shop: {type: native, accepts: {corp: [desk]}}
      till: {type: native, accepts: {entra: [till]}}
      till2: {type: native, accepts: {entra: [till]}}
      web: {type: browser}
      crm: {type: backend, auth: client_secret_basic, secret: "file:%[1]s/master.json"}
  sales:
    audience: [https://api.example.com]
    issuers: [corp]
    actors: [{issuer: agents, accepts: [desk], admit: "true"}]
    clients: {sales-ios: {type: native, accepts: {corp: [desk]}}}
`, b.dir, tenant))
	const entra, corp, agents = "https://login.example.com/" + tenant + "/v2.0", "https://corp.example.com", "https://agents.example.com"
	large := make([]string, 300)
	for i := range large {
		large[i] = fmt.Sprint("department ", i)
	}
	rows := map[string]struct {
		iss, aud string
		groups   []string
		args     []string
		want     []string // every verdict, and what else is said
		code     int
	}{
		"a tenant's, for a client called as another issuer's": {entra, "desk", nil, nil, []string{
			"App support: its person signs in, by browser client web",
			"App support: it may not be exchanged by native client shop, CP-201",
		}, 0},
		"a tenant's, for one client of several": {entra, "till", nil, nil, []string{
			"App support: it may be exchanged by native client till\n",
			": the clients till, till2 accept it; it is tried by the first (--client names another).\n",
		}, 0},
		"an issuer's, for the client of two apps": {corp, "desk", nil, nil, []string{"App support: it may be exchanged by native client shop", "App sales: it may be exchanged by native client sales-ios"}, 0},
		"from a sign-in": {corp, "chatpass", nil, nil, []string{
			"At a sign-in issuer corp is asked for userinfo too, which fills in what the ID token lacks. It is not asked here.",
			"App support: its person signs in, by browser client web",
			"App support: it may not be exchanged by native client shop, CP-207",
			"App sales: it may not be exchanged by native client sales-ios, CP-207",
		}, 0},
		"of an issuer that is not asked, which signs nobody in": {"https://plant.example.com", "chatpass", nil, nil, []string{
			"App support: it may not be exchanged by native client shop, CP-201",
		}, 1},
		"an actor's": {agents, "desk", []string{"agents"}, nil, []string{
			"App support: its person may act for customers, by backend client crm",
			"A context that is issued so lives 2m0s at most, and is granted of the scopes asked for: chat:read.",
		}, 0},
		"of one who may not act": {agents, "desk", []string{"staff"}, nil, []string{
			"App support: its person may not act for customers, by backend client crm, CP-501",
			"FAILED  actor ", "rule 1 yields false",
		}, 1},
		"of one who has no groups":              {agents, "desk", nil, nil, []string{"App support: its person may not act for customers, by backend client crm, CP-501", "no claim groups"}, 1},
		"an actor's, for a client":              {agents, "desk", []string{"agents"}, []string{"--client", "crm"}, []string{"App support: its person may act for customers, by backend client crm"}, 0},
		"an actor's, for one that is not asked": {agents, "desk", []string{"agents"}, []string{"--client", "till"}, []string{"App support: it may not be exchanged by native client till, CP-201"}, 1},
		"with too much to say": {corp, "desk", large, []string{"--client", "shop"}, []string{
			"App support: it may not be exchanged by native client shop, CP-306",
			"FAILED  context ", " bytes", "at most 4096",
		}, 1},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			now := time.Now().Unix()
			claims := map[string]any{"iss": row.iss, "aud": row.aud, "sub": "u-81", "tid": tenant, "iat": now - 10, "exp": now + 300}
			if row.groups != nil {
				claims["groups"] = row.groups
			}
			out, code := b.check(append(row.args, "--offline", "--token", b.sign(t, claims))...)
			verdicts := 0
			for _, want := range row.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
				verdicts += strings.Count(want, "App ")
			}
			if got := strings.Count(out, "\n\nApp "); code != row.code || got != verdicts {
				t.Errorf("exit %d, want %d; %d verdicts, want %d, in\n%s", code, row.code, got, verdicts, out)
			}
		})
	}
}

// What a rehearsal measures is as long as what a key signs.
func TestPaperIsAsLongAsASignature(t *testing.T) {
	for alg, size := range map[paper]int{"ES256": 64, "EdDSA": ed25519.SignatureSize, "ES384": 96, "RS256": 256, "PS256": 256} {
		token, err := alg.Sign(t.Context(), "at+jwt", []byte(`{"sub":"c"}`))
		parts := strings.Split(token, ".")
		if err != nil || len(parts) != 3 || len(parts[2]) != base64.RawURLEncoding.EncodedLen(size) {
			t.Errorf("%s: %q, %v", alg, token, err)
		}
		read, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil || string(read.UnsafePayloadWithoutVerification()) != `{"sub":"c"}` || len(read.Signatures[0].Header.KeyID) != 43 {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What an operator reads of issuers and store: what to register where, and how the store is.
func TestCheckTellsWhatToRegister(t *testing.T) {
	b := newBench(t)
	b.write(t, "jwks.json", mustJSON(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: b.key.Public(), KeyID: "k", Use: "sig"}}}))
	master, err := os.ReadFile(filepath.Join(b.dir, "master.json"))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(master)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(b.dir, "state.db"), Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	out, code := b.check()
	for _, want := range []string{
		"ok      master key     opens the store", "ok      store          SQLite 3.", ", answers in ",
		"ok      issuer corp    discovery and keys are good; to register there: redirect URI http://localhost:8080/v1/login/callback/corp, post-logout redirect URI http://localhost:8080/v1/logout/callback, back-channel logout URI http://localhost:8080/v1/backchannel-logout/corp, public key {\"use\":\"sig\",\"kty\":\"EC\",\"kid\":\"",
		"ok      issuer fixed   its keys in the file are good; it is not asked for anything, so nobody signs in with it",
		"ok      client signer  its keys at " + b.URL + "/client-keys are good",
		"fault   client mute    its jwks_uri " + b.URL + "/other/keys gives no key set; check the address, the network and proxy: ",
		"fault   issuer other   issuer other (" + b.URL + "/other): status 502 in place of its discovery document",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != 1 || strings.Contains(out, `"d":`) {
		t.Errorf("exit %d:\n%s", code, out)
	}
}
