package store_test

import (
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"chatpass/session"
	"chatpass/store"
)

// The commands of docs/operations.md, in the shell as they stand there.
func TestABackupIsRestored(t *testing.T) {
	for name, tt := range map[string]struct {
		fresh           func(testing.TB) store.Config
		backup, restore string
	}{
		"SQLite": {
			sqliteConfig,
			`sqlite3 "$STORE" "VACUUM INTO '$BACKUP'"`,
			`cp "$BACKUP" "$RESTORED"`,
		},
		"PostgreSQL": {
			postgresConfig,
			`pg_dump --format=custom --table='chatpass_*' --file="$BACKUP" "$STORE"`,
			`pg_restore --no-owner --single-transaction --dbname="$RESTORED" "$BACKUP"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			documented(t, tt.backup, tt.restore)
			cfg, other := tt.fresh(t), tt.fresh(t)
			s := openStore(t, cfg)
			mustInsert(t, s, aSession("before"))
			putOnce(t, s, "before", nil)
			env := []string{
				"STORE=" + place(t, cfg), "RESTORED=" + place(t, other), "BACKUP=" + filepath.Join(t.TempDir(), "backup"),
			}
			shell(t, env, tt.backup) // while the store is in use
			mustInsert(t, s, aSession("after"))
			shell(t, env, tt.restore)

			cfg.URL = other.URL
			restored := openStore(t, cfg)
			if _, err := restored.Sessions().Find(t.Context(), handleOf("before")); err != nil {
				t.Errorf("session of before the backup: %v", err)
			}
			putOnce(t, restored, "before", session.ErrExists)
			_, err := restored.Sessions().Find(t.Context(), handleOf("after"))
			wantAnswer(t, err, session.ErrNotFound)
			mustInsert(t, restored, aSession("new"))
		})
	}
}

// place is what the commands call the store: a path, or a URL.
func place(t *testing.T, cfg store.Config) string {
	t.Helper()
	if path, ok := strings.CutPrefix(cfg.URL, "sqlite:"); ok {
		return path
	}
	u, err := url.Parse(cfg.URL)
	must(t, err)
	return u.String()
}

func shell(t *testing.T, env []string, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Env = append(cmd.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func documented(t *testing.T, commands ...string) {
	t.Helper()
	text := string(read(t, filepath.Join("..", "docs", "operations.md")))
	for _, command := range commands {
		if !strings.Contains(text, command) {
			t.Errorf("docs/operations.md does not say %s", command)
		}
	}
}
