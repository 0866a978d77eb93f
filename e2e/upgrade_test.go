package e2e_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// kept is what others kept of an installation of the previous version.
type kept struct {
	Upstream string   `json:"upstream"`
	Cookie   string   `json:"cookie"`
	SID      string   `json:"sid"`
	Customer string   `json:"customer_id"`
	KIDs     []string `json:"kids"`
}

// The store of the previous version goes on: its sessions live, its keys are published and sign, its
// customers are the same persons.
func TestSQLiteStoreOfThePreviousVersionGoesOn(t *testing.T) {
	var before kept
	if err := json.Unmarshal(read(t, "testdata/previous/session.json"), &before); err != nil {
		t.Fatal(err)
	}
	s, upstream := newSiteWithIssuer(t, [2]string{"    client_id: chatpass", "    subject_issuer: " + before.Upstream + "\n    client_id: chatpass"})
	write(t, s.dir, "chatpass.db", string(read(t, "testdata/previous/chatpass.db")))
	write(t, s.dir, "master.json", string(read(t, "testdata/previous/master.json")))
	s.serve(t)

	cookie := &http.Cookie{Name: "__Host-chatpass-support", Value: before.Cookie}
	session := visitor{&browser{http.Client{Jar: heldJar{cookie}}}, s}.renew(t).want(t, http.StatusOK)
	if session.Customer != before.Customer || session.Session.SID != before.SID {
		t.Errorf("customer %s in session %s became %s in %s", before.Customer, before.SID, session.Customer, session.Session.SID)
	}
	if verifyWithJose(t, s, session.Context.Token) == nil {
		t.Error("a context of the session does not verify")
	}
	set := keySet(t, s)
	for _, kid := range before.KIDs {
		if !strings.Contains(set, kid) {
			t.Errorf("key %s is not published any more", kid)
		}
	}
	if kid := keyID(t, session.Context.Token); !slices.Contains(before.KIDs, kid) {
		t.Errorf("signed with %s, a new key", kid)
	}
	if alice := s.asBackend(t, shopIDToken(t, upstream, "alice")).want(t, http.StatusOK); alice.Customer != before.Customer {
		t.Errorf("alice became customer %s, was %s", alice.Customer, before.Customer)
	}
}

// A version that is older than the store does not touch it, and says what to do.
func TestNewerStoreIsLeftAlone(t *testing.T) {
	s := newSite(t, nowhere)
	newer := newerStores[engine()]
	newer.make(t, s)
	before := newer.sum(t, s)
	for _, args := range [][]string{{"serve"}, {"check", "--offline"}} {
		p, code := s.chatpass(t, append(args, "-c", s.config())...)
		if said := p.out.String() + p.err.String(); code != 1 || !strings.Contains(said, "newer version of chatpass") || !strings.Contains(said, "1000") {
			t.Errorf("%s: exit code %d, %q", args[0], code, said)
		}
	}
	if newer.sum(t, s) != before {
		t.Error("the store was changed")
	}
}

// newerStores make a site's store one of schema 1000, and sum up what is in it.
var newerStores = map[string]struct {
	make func(*testing.T, site)
	sum  func(*testing.T, site) string
}{
	"sqlite": {
		func(t *testing.T, s site) {
			write(t, s.dir, "chatpass.db", string(read(t, "testdata/newer/chatpass.db")))
			write(t, s.dir, "master.json", string(read(t, "testdata/previous/master.json")))
		},
		func(t *testing.T, s site) string {
			return fmt.Sprintf("%x", sha256.Sum256(read(t, filepath.Join(s.dir, "chatpass.db"))))
		},
	},
	"postgres": {
		func(t *testing.T, s site) {
			s.serve(t).kill()
			psql(t, s.database(t), "UPDATE chatpass_schema SET version = 1000")
		},
		func(t *testing.T, s site) string {
			return psql(t, s.database(t), "SELECT md5(string_agg(r::text, ' ' ORDER BY r::text)) FROM chatpass_records r; SELECT * FROM chatpass_schema")
		},
	},
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
