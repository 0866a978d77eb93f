package store_test

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
type cluster struct {
	programs, folder string
	port             int
}

// newCluster makes and starts one with the programs of the test server.
func newCluster(t *testing.T) cluster {
	t.Helper()
	c := emptyCluster(t)
	c.run(t, "initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	c.start(t)
	return c
}

func emptyCluster(t *testing.T) cluster {
	t.Helper()
	var programs string
	row := connect(t, testServer(t)).QueryRow(t.Context(), "SELECT setting FROM pg_config WHERE name = 'BINDIR'")
	must(t, row.Scan(&programs))
	folder, err := os.MkdirTemp("", "chatpass-cluster-") // the path to t.TempDir is closed to other users
	must(t, err)
	if os.Getuid() == 0 {
		owner, err := user.Lookup("postgres")
		must(t, err)
		uid, err := strconv.Atoi(owner.Uid)
		must(t, err)
		must(t, os.Chown(folder, uid, -1))
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, free.Close())
	c := cluster{programs: programs, folder: folder, port: free.Addr().(*net.TCPAddr).Port}
	t.Cleanup(func() {
		_ = c.command("pg_ctl", "stop", "-D", c.data(), "-m", "immediate").Run()
		must(t, os.RemoveAll(folder))
	})
	return c
}

func (c cluster) data() string { return filepath.Join(c.folder, "data") }

func (c cluster) url() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", c.port)
}

func (c cluster) start(t *testing.T) {
	t.Helper()
	options := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", c.port)
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
	must(t, err)
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
