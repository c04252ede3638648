//go:build linux

package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sennit-net/sennit/bench/lab"
)

// kernelClient lets the client's own kernel speak MPTCP over both links.
func kernelClient(t *testing.T, l *lab.Lab) {
	t.Helper()
	for _, s := range []*lab.Segment{l.WiFi, l.Cell} {
		if err := l.SourceRoutes(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8"},
		{"mptcp", "endpoint", "add", l.Cell.Addr4.String(), "dev", "cell0", "subflow"},
		{"mptcp", "endpoint", "add", l.Cell.Addr6.String(), "dev", "cell0", "subflow"},
	} {
		if err := l.Client.IP(args...); err != nil {
			t.Fatal(err)
		}
	}
}

func mustRun(t *testing.T, h *lab.Host, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := h.Run(ctx, name, args...)
	if err != nil || r.Code != 0 {
		t.Fatalf("%s %v: %v, status %d\n%s%s", name, args, err, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// The harness itself, proven with the kernel at both ends.
func TestKernelToKernel(t *testing.T) {
	lab.Need(t, "curl", "mptcpize", "sha256sum", "ping")
	l := lab.ForTest(t, lab.Options{})
	kernelClient(t, l)
	for _, err := range []error{
		l.ServeHTTP(80), l.ServeDNS(), l.ServeUDPEcho(7),
		l.Shape(l.WiFi, "50mbit"), l.Shape(l.Cell, "50mbit"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const size = 8 << 20
	fetch := func(t *testing.T, want string) lab.Counters {
		t.Helper()
		before, err := l.Server.Counters()
		if err != nil {
			t.Fatal(err)
		}
		out := mustRun(t, l.Client, "sh", "-c", fmt.Sprintf("mptcpize run curl -sS http://server.test/bytes/%d | sha256sum", size))
		if !strings.HasPrefix(out, want) {
			t.Errorf("content hash %s, want %s", out, want)
		}
		after, err := l.Server.Counters()
		if err != nil {
			t.Fatal(err)
		}
		return after.Since(before).MPTCP()
	}

	t.Run("two subflows", func(t *testing.T) {
		c := fetch(t, lab.Sum(size))
		if c["MPCapableSYNRX"] != 1 || c["MPJoinAckRx"] != 1 {
			t.Errorf("counters %v, want one MPCapableSYNRX and one MPJoinAckRx", c)
		}
	})
	t.Run("stripped from SYN", func(t *testing.T) {
		if err := l.StripSYN(true); err != nil {
			t.Fatal(err)
		}
		defer l.StripSYN(false)
		if c := fetch(t, lab.Sum(size)); c["MPCapableSYNRX"] != 0 {
			t.Errorf("counters %v, want no MPCapableSYNRX", c)
		}
	})
	t.Run("stripped after SYN", func(t *testing.T) {
		if err := l.StripAfterSYN(true); err != nil {
			t.Fatal(err)
		}
		defer l.StripAfterSYN(false)
		if c := fetch(t, lab.Sum(size)); c["MPCapableSYNRX"] != 1 || c["MPJoinAckRx"] != 0 {
			t.Errorf("counters %v, want MPCapableSYNRX without MPJoinAckRx", c)
		}
	})
	t.Run("upload", func(t *testing.T) {
		out := mustRun(t, l.Client, "sh", "-c", "head -c 1000000 /dev/zero | curl -sS -T - http://10.77.10.2/upload")
		if want := "1000000 d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025"; strings.TrimSpace(out) != want {
			t.Errorf("got %q, want %q", out, want)
		}
	})
	t.Run("names and ping", func(t *testing.T) {
		mustRun(t, l.Client, "ping", "-c1", "-W2", "v4.server.test")
		mustRun(t, l.Client, "ping", "-c1", "-W2", "v6.server.test")
	})
	t.Run("silence and down", func(t *testing.T) {
		wifi, cell := []string{"-c1", "-W1", "-I", "wifi0", "10.77.10.2"}, []string{"-c1", "-W1", "-I", "cell0", "10.77.10.2"}
		ping := func(args []string) bool {
			r, err := l.Client.Run(context.Background(), "ping", args...)
			return err == nil && r.Code == 0
		}
		if !ping(wifi) || !ping(cell) {
			t.Fatal("no answer on a healthy link")
		}
		if err := l.Silence(l.WiFi, true); err != nil {
			t.Fatal(err)
		}
		if ping(wifi) || !ping(cell) {
			t.Error("silence on wifi0 should cut wifi0 only")
		}
		if err := l.Silence(l.WiFi, false); err != nil {
			t.Fatal(err)
		}
		if err := l.Down(l.WiFi); err != nil {
			t.Fatal(err)
		}
		if ping(wifi) || !ping(cell) {
			t.Error("wifi0 down should cut wifi0 only")
		}
		if err := l.Up(l.WiFi); err != nil {
			t.Fatal(err)
		}
		if !ping(wifi) {
			t.Error("wifi0 does not come back")
		}
	})
	t.Run("udp echo", func(t *testing.T) {
		pc, err := l.Client.ListenPacket("udp", netip.MustParseAddrPort("[::]:0"))
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		echo(t, pc, netip.AddrPortFrom(l.Eth0.Addr6, 7))
	})
}

func TestFamilies(t *testing.T) {
	lab.Need(t, "curl")
	for _, c := range []struct {
		name     string
		opt      lab.Options
		url      string
		unusable string
	}{
		{"IPv4 only", lab.Options{NoIPv6: true}, "http://10.77.10.2/peer", "http://[fd77:10::2]/peer"},
		{"IPv6 only", lab.Options{NoIPv4: true}, "http://[fd77:10::2]/peer", "http://10.77.10.2/peer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lab.ForTest(t, c.opt)
			if err := l.ServeHTTP(80); err != nil {
				t.Fatal(err)
			}
			mustRun(t, l.Client, "curl", "-sS", c.url)
			if r, err := l.Client.Run(context.Background(), "curl", "-sS", "--max-time", "3", c.unusable); err != nil || r.Code == 0 {
				t.Errorf("%s answered: %v %q", c.unusable, err, r.Stdout)
			}
		})
	}
}

// Close leaves nothing, and New removes what a dead process left.
func TestCleanUp(t *testing.T) {
	lab.Need(t)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	stale := fmt.Sprintf("snt-%d-000000-client", dead.Process.Pid)
	if out, err := exec.Command("ip", "netns", "add", stale).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.MkdirAll("/etc/netns/"+stale, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{l.Client.NS, l.Router.NS, l.Server.NS}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for _, n := range append(names, stale) {
		for _, dir := range []string{"/run/netns/", "/etc/netns/"} {
			if _, err := os.Stat(dir + n); err == nil {
				t.Errorf("%s%s is still there", dir, n)
			}
		}
	}
}
