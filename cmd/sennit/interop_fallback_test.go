//go:build linux

package main

import (
	"testing"

	"github.com/sennit-net/sennit/bench/lab"
)

// Wherever Multipath TCP cannot be, there is plain TCP with the right bytes, and
// an event that says why.
func TestRunFallsBack(t *testing.T) {
	const size = 5_000_000
	for _, c := range []struct {
		name   string
		hinder func(r *rig) error
	}{
		{"server without MPTCP", func(r *rig) error { return r.Server.Sysctl("net.mptcp.enabled", "0") }},
		{"server program without MPTCP", nil},
		{"stripped from the SYN", func(r *rig) error { return r.StripSYN(true) }},
		{"stripped after the SYN", func(r *rig) error { return r.StripAfterSYN(true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, lab.Options{})
			port := 80
			if c.hinder == nil {
				port = 81
				r.must(r.ServePlainHTTP(81))
			} else {
				r.must(c.hinder(r))
				if c.name == "server without MPTCP" {
					port = 82 // a socket made now is a plain one
					r.must(r.ServeHTTP(82))
				}
			}
			s := r.start(aggregate, "curl", "-sSN", "http://v4.server.test:"+itoa(port)+"/bytes/"+itoa(size))
			got, err := drain(s.Stdout, 0)
			r.must(err)
			if code := s.wait(); code != 0 {
				t.Fatalf("status %d: %s", code, s.stderr.String())
			}
			got.check(t, size)
			fallbacks := s.all("fallback")
			if len(fallbacks) != 1 || fallbacks[0].text("cause") == "" {
				t.Fatalf("fallback events %v, want one with its cause", fallbacks)
			}
			t.Logf("cause: %s", fallbacks[0].text("cause"))
		})
	}
	t.Run("upload stripped after the SYN", func(t *testing.T) {
		r := newRig(t, lab.Options{})
		r.must(r.StripAfterSYN(true))
		out, s := r.do(aggregate, "sh", "-c", "head -c 3000000 /dev/zero | curl -sS -H Expect: -T - http://v4.server.test/upload")
		if want := "3000000 "; len(out) < len(want) || out[:len(want)] != want {
			t.Errorf("server got %q", out)
		}
		if len(s.all("fallback")) != 1 {
			t.Errorf("fallback events %v, want one", s.all("fallback"))
		}
	})
	t.Run("none asked for", func(t *testing.T) {
		r := newRig(t, lab.Options{})
		c := r.during(func() {
			s := r.start([]string{"--service", "none"}, "curl", "-sSN", url("/bytes/%d", size))
			got, err := drain(s.Stdout, 0)
			r.must(err)
			if code := s.wait(); code != 0 {
				t.Fatalf("status %d: %s", code, s.stderr.String())
			}
			got.check(t, size)
		})
		if c["MPCapableSYNRX"] != 0 {
			t.Errorf("counters %v: --service none offered MPTCP", c)
		}
	})
}
