package store_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"chatpass/identity"
	"chatpass/keys"
	"chatpass/session"
	"chatpass/store"
)

func TestTheFilesTellNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	s := openStore(t, config(t, path))
	secrets := fillWithSecrets(t, s)
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		data := read(t, name)
		for _, secret := range secrets {
			for form, text := range forms(secret) {
				if bytes.Contains(data, text) {
					t.Errorf("%s holds %q (%s)", filepath.Base(name), secret, form)
				}
			}
		}
	}
	if !bytes.Contains(read(t, path+"-wal"), []byte("public-sid")) { // else the search would prove nothing
		t.Error("the log does not hold the session at all")
	}
	closeStore(t, s)
	data := read(t, path)
	for _, secret := range secrets {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("the closed file holds %q", secret)
		}
	}
	if !bytes.Contains(data, []byte("public-sid")) {
		t.Error("the closed file does not hold the session at all")
	}
}

// fillWithSecrets stores one of everything and returns what must not be found.
func fillWithSecrets(t *testing.T, s *store.Store) []string {
	t.Helper()
	sessions, now := s.Sessions(), time.Now()
	who := aSession("public-sid")
	who.Customer, who.IDToken = "alice@customer.example", "eyJhbGciOi.canary-token.c2lnbmF0dXJl"
	who.Identity.UpstreamSubject, who.Identity.UpstreamSession = "alice@upstream.example", "upstream-canary"
	who.Standing.RefreshToken = "refresh-token-canary"
	who.Identity.Claims = map[string]any{"email": "alice@claims.example"}
	r := session.Result{
		Txn: "txn-canary", Challenge: "challenge-canary", Identity: who.Identity, IDToken: "eyJ.result-token.sig", Grant: identity.Grant{RefreshToken: "refresh-canary-of-result"},
		Expires: now.Add(time.Minute),
	}
	ring := keys.Snapshot{Keys: []keys.Record{{KID: "kid", Private: []byte("private-key-canary")}}}
	must(t, sessions.PutResult(t.Context(), r))
	must(t, sessions.PutResult(t.Context(), session.Result{Txn: "waiting", IDToken: "eyJ.waiting.sig", Expires: r.Expires}))
	b := session.Birth{Handle: handleOf("cookie-canary"), Until: who.Expires, Txn: r.Txn}
	must(t, sessions.Insert(t.Context(), who, b))
	must(t, sessions.PutOnce(t.Context(), "logout", "jti-canary", now.Add(time.Minute)))
	must(t, sessions.Mark(t.Context(), session.Marker{
		Issuer: "https://issuer.example", Subject: "bob@marker.example", Before: now, Expires: now.Add(time.Minute),
	}))
	must(t, s.Keys().SwapRing(t.Context(), ring, nil))
	_, err := s.Exchange().Salt(t.Context(), "sector", []byte("salt-canary-salt-canary"))
	must(t, err)
	return []string{
		who.Customer, who.IDToken, "canary-token", "alice@upstream.example", "upstream-canary", "alice@claims.example",
		"txn-canary", "challenge-canary", "result-token", "eyJ.waiting.sig", "private-key-canary", "cookie-canary",
		"jti-canary", "refresh-token-canary", "refresh-canary-of-result", "bob@marker.example", "salt-canary",
	}
}

func forms(secret string) map[string][]byte {
	plain := []byte(secret)
	sealedHalf := func(e *base64.Encoding) []byte { return []byte(e.EncodeToString(plain[:len(plain)/3*3])) }
	return map[string][]byte{
		"plain": plain, "hex": []byte(hex.EncodeToString(plain)),
		"base64": sealedHalf(base64.StdEncoding), "base64url": sealedHalf(base64.URLEncoding),
	}
}

// Whoever can write to the file, and has no master key, must not be able to take over a session or a
// salt by altering a value or by putting one in the place of another.
func TestAnAlteredValueIsAnOutageAndNeverAnAnswer(t *testing.T) {
	const place = "UPDATE records SET value = (SELECT value FROM records WHERE kind = '%s' AND key = x'%x') WHERE kind = '%s' AND key = x'%x'"
	mine, yours := handleOf("mine"), handleOf("yours")
	for name, text := range map[string]string{
		"another's session":        fmt.Sprintf(place, "session", "yours", "session", "mine"),
		"another's handle":         fmt.Sprintf(place, "handle", yours, "handle", mine),
		"a value of another kind":  fmt.Sprintf(place, "salt", "mine", "session", "mine"),
		"a session altered":        "UPDATE records SET value = CAST(value || x'00' AS BLOB) WHERE kind = 'session'",
		"a session emptied":        "UPDATE records SET value = x'' WHERE kind = 'session'",
		"a handle written by hand": "UPDATE records SET value = CAST('\"yours\"' AS BLOB) WHERE kind = 'handle'",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "chatpass.db")
			s := openStore(t, config(t, path))
			mustInsert(t, s, aSession("mine"))
			mustInsert(t, s, aSession("yours"))
			_, err := s.Exchange().Salt(t.Context(), "mine", []byte("salt"))
			must(t, err)
			_, err = s.Sessions().Find(t.Context(), mine)
			must(t, err)
			script(t, path, text)
			_, err = s.Sessions().Find(t.Context(), mine)
			wantOutage(t, "find", err)
		})
	}
}

func TestAnAlteredIndexListsNoStranger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	s := openStore(t, config(t, path))
	mine, yours := aSession("mine"), aSession("yours")
	mine.Identity.UpstreamSession, yours.Identity.UpstreamSession = "u1", "u1"
	yours.Customer, yours.Identity.Issuer = "c-bob", "https://other.example"
	mustInsert(t, s, mine)
	mustInsert(t, s, yours)
	script(t, path, `UPDATE records SET (index_a, index_b, index_c) =
		(SELECT index_a, index_b, index_c FROM records WHERE kind = 'session' AND key = CAST('mine' AS BLOB))
		WHERE kind = 'session'`)
	issuer := mine.Identity.Issuer
	for name, all := range map[string]iter.Seq2[session.Session, error]{
		"customer":         s.Sessions().ByCustomer(t.Context(), mine.App, mine.Customer),
		"subject":          s.Sessions().ByUpstream(t.Context(), session.Marker{Issuer: issuer, Subject: "alice"}),
		"upstream session": s.Sessions().ByUpstream(t.Context(), session.Marker{Issuer: issuer, Session: "u1"}),
	} {
		var got []string
		for at, err := range all {
			must(t, err)
			got = append(got, at.SID)
		}
		if !slices.Equal(got, []string{"mine"}) {
			t.Errorf("by %s: listed %q, want only mine", name, got)
		}
	}
}

func TestAPrivateKeyIsBoundToItsKID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	cfg := config(t, path)
	s := openStore(t, cfg)
	must(t, s.Keys().SwapRing(t.Context(), keys.Snapshot{Keys: []keys.Record{
		{KID: "one", Private: []byte("private half of one")}, {KID: "two", Private: []byte("private half of two")},
	}}, nil))
	db := rawDB(t, path)
	var sealed []byte
	must(t, db.QueryRow("SELECT value FROM records WHERE kind = 'ring'").Scan(&sealed))
	plain, err := cfg.Sealer.Open(sealed, []byte("ring\x001"))
	must(t, err)
	var ring struct{ Keys []map[string]any }
	must(t, json.Unmarshal(plain, &ring))
	stored := ring.Keys
	for i, kid := range []string{"one", "two"} {
		half, err := base64.StdEncoding.DecodeString(fmt.Sprint(stored[i]["private"]))
		must(t, err)
		half, err = cfg.Sealer.Open(half, []byte("signing_keys\x00"+kid))
		if err != nil || string(half) != "private half of "+kid {
			t.Errorf("private half of %s: %q, %v", kid, half, err)
		}
	}

	stored[0]["private"], stored[1]["private"] = stored[1]["private"], stored[0]["private"]
	plain, err = json.Marshal(map[string]any{"keys": stored})
	must(t, err)
	sealed, err = cfg.Sealer.Seal(plain, []byte("ring\x001"))
	must(t, err)
	_, err = db.Exec("UPDATE records SET value = ?1 WHERE kind = 'ring'", sealed)
	must(t, err)
	_, err = s.Keys().Ring(t.Context())
	wantOutage(t, "ring with exchanged private halves", err)
}

func TestADamagedFileIsAnOutageAndNeverAnAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatpass.db")
	cfg := config(t, path)
	s := mustOpen(t, cfg)
	for i := range 200 {
		mustInsert(t, s, aSession(fmt.Sprint(i)))
	}
	closeStore(t, s)
	data := read(t, path)
	const page = 4096
	for i := 8 * page; i < len(data); i++ { // the schema and the roots stay
		data[i] = 0xff
	}
	write(t, path, data)
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		return // it may be noticed at once
	}
	defer closeStore(t, s)
	broken := 0
	for i := range 200 {
		_, err := s.Sessions().Find(t.Context(), handleOf(fmt.Sprint(i)))
		if err != nil {
			wantOutage(t, "find in a damaged file", err)
			broken++
		}
	}
	if broken == 0 {
		t.Error("nothing was damaged")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
