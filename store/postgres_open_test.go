package store_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chatpass/identity"
	"chatpass/store"
)

// What is wrong with a server is said at once, with the remedy and without the password.
func TestAnUnusableServerIsNamedWithItsRemedy(t *testing.T) {
	good := database(t)
	readOnly, lossy, foreign := database(t), database(t), database(t)
	parameter := func(name, value string) string {
		return at(t, good, func(u *url.URL) { u.RawQuery += "&" + name + "=" + value })
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	must(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	sqlAt(t, foreign, "CREATE TABLE chatpass_schema (name text)")
	stranger := role(t, good)
	for name, tt := range map[string]struct{ url, remedy string }{
		"wrong password":     {at(t, good, func(u *url.URL) { u.User = url.UserPassword("postgres", "hunter2") }), "user and password"},
		"unknown user":       {at(t, good, func(u *url.URL) { u.User = url.UserPassword("nobody", "hunter2") }), "user and password"},
		"unknown database":   {at(t, good, func(u *url.URL) { u.Path = "/missing" }), "CREATE DATABASE chatpass OWNER chatpass"},
		"may not make":       {stranger, "CREATE DATABASE chatpass OWNER chatpass"},
		"nothing listens":    {at(t, good, func(u *url.URL) { u.Host = "127.0.0.1:1" }), "check that PostgreSQL runs"},
		"nothing answers":    {at(t, good, func(u *url.URL) { u.Host = silent.Addr().String(); u.RawQuery += "&connect_timeout=1" }), "check that PostgreSQL runs"},
		"TLS is not offered": {parameter("sslmode", "require"), "sslmode"},
		"unknown parameter":  {parameter("statment_timeout", "1s"), "correct the parameters"},
		"only to be read":    {at(t, readOnly, func(u *url.URL) { u.RawQuery += "&default_transaction_read_only=on" }), "primary"},
		"not durable":        {at(t, lossy, func(u *url.URL) { u.RawQuery += "&synchronous_commit=off" }), "synchronous_commit=on"},
		"of somebody else":   {foreign, "database of its own"},
		"unreadable":         {"postgres://chatpass:hunter2@db:port/chatpass", "write it like postgres://"},
		"no URL":             {"postgres://chatpass:hunter2@[/chatpass", "write it like postgres://"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, "")
			cfg.URL = tt.url
			began := time.Now()
			_, err := store.Open(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), tt.remedy) {
				t.Errorf("got %v, want %q", err, tt.remedy)
			}
			if u, parsed := url.Parse(tt.url); parsed == nil {
				password, _ := u.User.Password()
				if strings.Contains(fmt.Sprint(err), password) {
					t.Errorf("the password is in: %v", err)
				}
			}
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("the password is in: %v", err)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// role makes a user who may connect to the database and nothing else, and returns its URL.
func role(t *testing.T, in string) string {
	t.Helper()
	u, err := url.Parse(in)
	must(t, err)
	name := "stranger_of_" + strings.TrimPrefix(u.Path, "/")
	sqlAt(t, in, "CREATE ROLE "+name+" LOGIN PASSWORD 'secret-of-role'")
	t.Cleanup(func() { sqlAt(t, testServer(t), "DROP ROLE "+name) })
	return at(t, in, func(u *url.URL) { u.User = url.UserPassword(name, "secret-of-role") })
}

// The owner of a database needs no other right, as the documentation says.
func TestTheOwnerOfADatabaseMayUseIt(t *testing.T) {
	cfg := postgresConfig(t)
	owner := role(t, cfg.URL)
	u, err := url.Parse(owner)
	must(t, err)
	sqlAt(t, cfg.URL, fmt.Sprintf("ALTER DATABASE %s OWNER TO %s", strings.TrimPrefix(u.Path, "/"), u.User.Username()))
	admin := cfg.URL
	t.Cleanup(func() { sqlAt(t, admin, "REASSIGN OWNED BY "+u.User.Username()+" TO postgres") })
	cfg.URL = owner
	putOnce(t, openStore(t, cfg), "value", nil)
}

func TestTimeoutsHoldUnlessTheURLSaysOtherwise(t *testing.T) {
	cfg := postgresConfig(t)
	for parameters, want := range map[string]string{
		"": "5s 2s 2s chatpass",
		"&statement_timeout=9s&lock_timeout=1s&idle_in_transaction_session_timeout=3s&application_name=a": "9s 1s 3s a",
	} {
		with := cfg
		with.URL = at(t, cfg.URL, func(u *url.URL) { u.RawQuery += parameters })
		s := mustOpen(t, with)
		if got := store.Settings(t, s); got != want {
			t.Errorf("settings %q, want %q", got, want)
		}
		closeStore(t, s)
	}
}

// A statement that waits for a lock which nobody gives back ends as an outage, by the server and soon.
func TestALockOnARowIsAnOutageAndPasses(t *testing.T) {
	cfg := postgresConfig(t)
	s := openStore(t, cfg)
	at := aSession("s")
	mustInsert(t, s, at)
	must(t, s.Sessions().PutOnce(t.Context(), "test", "gone", time.Now().Add(-time.Minute)))
	tx, err := connect(t, cfg.URL).Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM chatpass_records FOR UPDATE")
	must(t, err)
	at.Version = 1
	wantOutage(t, "swap behind a lock", s.Sessions().Swap(t.Context(), at))
	wantOutage(t, "end behind a lock", s.Sessions().End(t.Context(), at))
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("the sweep waits for locks: %d, %v", n, err)
	}
	if _, err := s.Sessions().Find(t.Context(), handleOf("s")); err != nil {
		t.Errorf("a lock keeps readers out: %v", err)
	}
	must(t, tx.Rollback(t.Context()))
	if n, err := s.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want what had been locked", n, err)
	}
	must(t, s.Sessions().End(t.Context(), at))
}

// Connections that were ended behind our back, as by a failover or an administrator, cost nobody an
// answer when nothing can have been written.
func TestEndedConnectionsAreMadeAgain(t *testing.T) {
	cfg := postgresConfig(t)
	s := openStore(t, cfg)
	mustInsert(t, s, aSession("s"))
	for range 5 {
		sqlAt(t, cfg.URL, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if _, err := s.Sessions().Find(t.Context(), handleOf("s")); err != nil {
			t.Errorf("find: %v", err)
		}
	}
	for n := range 5 {
		sqlAt(t, cfg.URL, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		mustInsert(t, s, aSession(fmt.Sprint("new", n)))
	}
}

// Through a pooler no statement may be prepared.
func TestNothingNeedsPreparedStatements(t *testing.T) {
	for _, mode := range []string{"cache_describe", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			cfg := postgresConfig(t)
			cfg.URL = at(t, cfg.URL, func(u *url.URL) { u.RawQuery += "&default_query_exec_mode=" + mode })
			s := openStore(t, cfg)
			fillWithSecrets(t, s)
			endOne(t, s.Sessions(), "s")
			found, err := s.Sessions().Revocations(t.Context(), time.Time{})
			if err != nil || len(found) != 1 {
				t.Errorf("revocations %v, %v", found, err)
			}
			for _, err := range s.Sessions().ByCustomer(t.Context(), "support", "alice@customer.example") {
				must(t, err)
			}
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClosingAServersStoreLeavesNothingRunning(t *testing.T) {
	cfg := postgresConfig(t)
	ignored := goleak.IgnoreCurrent()
	s := mustOpen(t, cfg)
	endOne(t, s.Sessions(), "s")
	closeStore(t, s)
	goleak.VerifyNone(t, ignored)
	closeStore(t, s)
	wantEveryOutage(t, s)
}

func TestAServerThatCannotKeepOurPromisesIsRefused(t *testing.T) {
	for _, tt := range []struct {
		version          int
		standby          bool
		readOnly, commit string
		want             string
	}{
		{150000, false, "off", "on", ""},
		{180001, false, "off", "remote_apply", ""},
		{149999, false, "off", "on", "PostgreSQL 14 is too old"},
		{160000, true, "on", "on", "standby"},
		{160000, false, "on", "on", "may only be read"},
		{160000, false, "off", "off", "synchronous_commit"},
	} {
		err := store.RefuseServer(tt.version, tt.standby, tt.readOnly, tt.commit)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v", tt, err)
		}
	}
}

func TestAnUnreachableServerIsAnOutage(t *testing.T) {
	cfg := config(t, "")
	cfg.URL = "postgres://chatpass@127.0.0.1:1/chatpass"
	_, err := store.Open(t.Context(), cfg)
	if outage, ok := errors.AsType[*identity.Outage](err); !ok || outage.Code != identity.StoreUnavailable {
		t.Errorf("got %v, want an outage", err)
	}
}
