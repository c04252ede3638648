//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// NoSkip reports whether SENNIT_NOSKIP=1 forbids tests to skip, as in CI.
func NoSkip() bool { return os.Getenv("SENNIT_NOSKIP") == "1" }

// Missing says why a lab cannot be built here; nil: it can. programs are what
// the caller needs besides ip, tc and nft.
func Missing(programs ...string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("network namespaces need root: sudo env PATH=$PATH go test")
	}
	var lack []string
	for _, p := range append([]string{"ip", "tc", "nft"}, programs...) {
		if _, err := exec.LookPath(p); err != nil {
			lack = append(lack, p)
		}
	}
	if lack != nil {
		return fmt.Errorf("programs not installed: %s", strings.Join(lack, ", "))
	}
	if _, err := os.Stat("/proc/sys/net/mptcp/enabled"); err != nil {
		return fmt.Errorf("the kernel has no MPTCP")
	}
	return nil
}

// Need skips the test where a lab cannot be built, or fails it if nothing may
// skip.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	err := Missing(programs...)
	switch {
	case err == nil:
	case NoSkip():
		t.Fatalf("nothing may skip, but: %v", err)
	default:
		t.Skip(err)
	}
}

// ForTest builds a lab that the end of the test takes away.
func ForTest(t testing.TB, opt Options) *Lab {
	t.Helper()
	Need(t)
	l, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}
