//go:build linux

package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sennit-net/sennit/bench/lab"
)

func itoa(n int) string { return strconv.Itoa(n) }

// What a program needs besides TCP, whatever the families of the server: names,
// ping, UDP.
func TestRunServesTheWholeProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		opt    lab.Options
		v4, v6 bool
	}{
		{"dual stack", lab.Options{}, true, true},
		{"IPv4 only", lab.Options{NoIPv6: true}, true, false},
		{"IPv6 only", lab.Options{NoIPv4: true}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.opt)
			type family struct {
				on               bool
				name, flag, addr string
			}
			families := []family{
				{c.v4, "v4.server.test", "-4", "10.77.10.2:7"},
				{c.v6, "v6.server.test", "-6", "[fd77:10::2]:7"},
			}
			const size = 1_000_000
			s := r.start(aggregate, "curl", "-sSN", url("/bytes/%d", size))
			got, err := drain(s.Stdout, 0)
			r.must(err)
			if code := s.wait(); code != 0 {
				t.Fatalf("status %d: %s", code, s.stderr.String())
			}
			got.check(t, size)
			for _, f := range families {
				if !f.on {
					continue
				}
				s := r.start(aggregate, "curl", "-sSN", "http://"+f.name+"/bytes/"+itoa(size))
				got, err := drain(s.Stdout, 0)
				r.must(err)
				if code := s.wait(); code != 0 {
					t.Fatalf("%s: status %d: %s", f.name, code, s.stderr.String())
				}
				got.check(t, size)
				if n := len(s.joined()); n != 2 {
					t.Errorf("%s: %d links joined, want 2", f.name, n)
				}
				r.do(nil, "ping", f.flag, "-c2", "-W2", "-i0.2", f.name)
				out, _ := r.do(nil, "env", helperEnv+"=udp", self, f.addr, "hello over "+f.name)
				if strings.TrimSpace(out) != "hello over "+f.name {
					t.Errorf("UDP echo over %s gave %q", f.name, out)
				}
			}
			out, _ := r.do(nil, "getent", "hosts", "server.test")
			if !strings.Contains(out, "server.test") {
				t.Errorf("getent gave %q", out)
			}
		})
	}
}

// The command sees a machine of its own, without the host's interfaces.
func TestRunHidesTheHost(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, lab.Options{})
	out, _ := r.do(nil, "env", helperEnv+"=interfaces", self)
	names := strings.Fields(out)
	if len(names) != 2 {
		t.Errorf("interfaces %v, want lo and one TUN", names)
	}
	for _, n := range names {
		if n == "wifi0" || n == "cell0" {
			t.Errorf("the command sees %s of the host", n)
		}
	}
}

// stdin, exit status and signals belong to the command.
func TestRunPassesThrough(t *testing.T) {
	r := newRig(t, lab.Options{})
	s := r.start(nil, "sh", "-c", "cat; exit 7")
	if _, err := s.Stdin.Write([]byte("from outside")); err != nil {
		t.Fatal(err)
	}
	s.Stdin.Close()
	got := make([]byte, 64)
	n, _ := s.Stdout.Read(got)
	if string(got[:n]) != "from outside" {
		t.Errorf("stdin gave %q", got[:n])
	}
	if code := s.wait(); code != 7 {
		t.Errorf("status %d, want the command's 7", code)
	}
}
