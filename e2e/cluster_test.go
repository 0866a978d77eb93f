package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
)

// A cluster is a PostgreSQL server of a test's own, to be stopped and started.
type cluster struct{ programs, folder, address string }

func newCluster(t *testing.T) cluster {
	t.Helper()
	folder, err := os.MkdirTemp("", "chatpass-cluster-") // the path to t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	c := cluster{psql(t, postgres(t), "SELECT setting FROM pg_config WHERE name = 'BINDIR'"), folder, freeAddress(t)}
	if os.Getuid() == 0 {
		giveToPostgres(t, folder)
	}
	t.Cleanup(func() {
		_ = c.command("pg_ctl", "stop", "-D", c.data(), "-m", "immediate").Run() // it may have stopped
		_ = os.RemoveAll(folder)
	})
	c.run(t, "initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	c.start(t)
	return c
}

func giveToPostgres(t *testing.T, folder string) {
	t.Helper()
	owner, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(folder, uid, -1); err != nil {
		t.Fatal(err)
	}
}

func (c cluster) data() string { return filepath.Join(c.folder, "data") }

func (c cluster) url() string {
	return "postgres://postgres@" + c.address + "/postgres?sslmode=disable"
}

func (c cluster) start(t *testing.T) {
	t.Helper()
	_, port, err := net.SplitHostPort(c.address)
	if err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("-p %s -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", port)
	c.run(t, "pg_ctl", "start", "-w", "-D", c.data(), "-l", filepath.Join(c.folder, "log"), "-o", options)
}

// crash stops the server as a power cut would.
func (c cluster) crash(t *testing.T) {
	t.Helper()
	c.run(t, "pg_ctl", "stop", "-D", c.data(), "-m", "immediate")
}

func (c cluster) run(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := c.command(program, args...)
	out, err := os.CreateTemp(t.TempDir(), "said") // a file: the server would keep a pipe open
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, read(t, out.Name()))
	}
}

// command runs a program as the user of the server, which refuses to run as root.
func (c cluster) command(program string, args ...string) *exec.Cmd {
	path := filepath.Join(c.programs, program)
	cmd := exec.Command(path, args...)
	if os.Getuid() == 0 {
		cmd = exec.Command("runuser", append([]string{"-u", "postgres", "--", path}, args...)...)
	}
	cmd.Dir = "/"
	return cmd
}
