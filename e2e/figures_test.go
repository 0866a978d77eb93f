package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// Start to ready, resident memory when idle, and the size of the binary.
func BenchmarkStart(b *testing.B) {
	s := newSite(b, nowhere)
	var kilobytes, starts int
	for b.Loop() {
		service := s.serve(b)
		b.StopTimer()
		kilobytes += resident(b, service.Process.Pid)
		starts++
		service.signal(b, syscall.SIGKILL)
		service.kill()
		b.StartTimer()
	}
	binary, err := os.Stat(os.Getenv("CHATPASS"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(kilobytes)/float64(starts)/1024, "MiB-resident")
	b.ReportMetric(float64(binary.Size())/(1<<20), "MiB-binary")
}

// resident is the resident memory of a process in KiB; 0 where /proc does not tell.
func resident(b *testing.B, pid int) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	var kilobytes int
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, err = fmt.Sscan(rest, &kilobytes)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	return kilobytes
}
