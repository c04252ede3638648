package conn

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// oneWay restricts a box to one direction.
func oneWay(d simnet.Direction, which simnet.Which, since time.Duration) simnet.Box {
	return simnet.Editor(func(now mono.Time, way simnet.Direction, s *wire.Segment) {
		if way == d && which.Has(s) && now.Sub(mono.Time(time.Second)) >= since {
			simnet.StripOption(s, option.Kind)
		}
	})
}

// stripThird strips the options of the first pure ACK of each connection.
func stripThird() simnet.Box {
	done := false
	return simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
		if d == simnet.Forward && !s.Flags.Has(wire.SYN) && !done {
			done = true
			simnet.StripOption(s, option.Kind)
		}
	})
}

// Middleboxes that take options away lead to plain TCP with the right bytes,
// whatever they take and whenever they begin (RFC 8684 §3.7).
func TestFallback(t *testing.T) {
	const mid = 150 * time.Millisecond
	for _, c := range []struct {
		name           string
		box            func() simnet.Box
		client, server Cause // NoCause: any
	}{
		{"SYN", func() simnet.Box { return simnet.Strip(option.Kind, simnet.SYN, 0) }, SYNACKWithout, SYNWithout},
		{"SYN-ACK", func() simnet.Box { return simnet.Strip(option.Kind, simnet.SYNACK, 0) }, SYNACKWithout, ThirdACKWithout},
		{"third ACK", func() simnet.Box { return stripThird() }, NoCause, ThirdACKWithout},
		{"after the SYNs", func() simnet.Box { return simnet.Strip(option.Kind, simnet.Later, 0) }, NoCause, ThirdACKWithout},
		{"everything", func() simnet.Box { return simnet.Strip(option.Kind, simnet.All, 0) }, SYNACKWithout, SYNWithout},
		{"SYN dropped", func() simnet.Box { return simnet.Refuse(option.Kind, simnet.SYN) }, SYNDropped, SYNWithout},
		{"client's data", func() simnet.Box { return oneWay(simnet.Forward, simnet.Later, 0) }, NoCause, ThirdACKWithout},
		{"server's data", func() simnet.Box { return oneWay(simnet.Backward, simnet.Later, 0) }, NoCause, NoCause},
		{"midway", func() simnet.Box { return simnet.Strip(option.Kind, simnet.Later, mid) }, NoCause, NoCause},
		{"midway forward", func() simnet.Box { return oneWay(simnet.Forward, simnet.Later, mid) }, NoCause, NoCause},
		{"midway backward", func() simnet.Box { return oneWay(simnet.Backward, simnet.Later, mid) }, NoCause, NoCause},
	} {
		for _, load := range []struct {
			name     string
			up, down int
		}{{"upload", 1 << 20, 100}, {"download", 100, 1 << 20}, {"both ways", 300_000, 300_000}, {"nothing", 0, 0}} {
			t.Run(c.name+"/"+load.name, func(t *testing.T) {
				w := newWorld(t, setup{paths: []simnet.Shape{slow}, boxes: [][]simnet.Box{{c.box()}},
					up: load.up, down: load.down})
				w.run(time.Minute)
				w.finish()
				cl, ok := last[Fallback](&w.client)
				midway := load.up+load.down < 1000 && (c.name[0] == 'm')
				if !ok && !midway && !(load.up == 0 && c.name == "server's data") {
					t.Errorf("the client did not fall back")
				}
				sv, _ := last[Fallback](&w.server)
				if c.client != NoCause && cl.Cause != c.client {
					t.Errorf("client's cause %v, want %v", cl.Cause, c.client)
				}
				if c.server != NoCause && sv.Cause != c.server {
					t.Errorf("server's cause %v, want %v", sv.Cause, c.server)
				}
				if n := count[Fallback](&w.client) + count[Fallback](&w.server); n > 2 {
					t.Errorf("%d fallbacks", n)
				}
			})
		}
	}
}

// RFC 8684 §3.1: versions and algorithms we do not know, and the B bit, make
// MP_CAPABLE count for nothing.
func TestUnusableCapable(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(m *option.MPCapable)
	}{
		{"version 2", func(m *option.MPCapable) { m.Version = 2 }},
		{"B set", func(m *option.MPCapable) { m.Extended = true }},
		{"no algorithm", func(m *option.MPCapable) { m.Algorithms = 0 }},
		{"only G", func(m *option.MPCapable) { m.Algorithms = 2 }},
	} {
		for _, which := range []simnet.Which{simnet.SYN, simnet.SYNACK} {
			name := map[simnet.Which]string{simnet.SYN: "SYN", simnet.SYNACK: "SYN-ACK"}[which]
			t.Run(c.name+" "+name, func(t *testing.T) {
				w := newWorld(t, setup{paths: []simnet.Shape{slow}, up: 1000, down: 1000,
					boxes: [][]simnet.Box{{editCapable(which, c.edit)}}})
				w.run(time.Minute)
				w.finish()
				if e, _ := last[Fallback](&w.client); e.Cause != SYNACKWithout {
					t.Errorf("client fell back for %v", e.Cause)
				}
				want := SYNWithout
				if which == simnet.SYNACK {
					want = ThirdACKWithout
				}
				if e, _ := last[Fallback](&w.server); e.Cause != want {
					t.Errorf("server fell back for %v, want %v", e.Cause, want)
				}
			})
		}
	}
}

// editCapable changes the MP_CAPABLE of the selected segments.
func editCapable(which simnet.Which, edit func(*option.MPCapable)) simnet.Box {
	return simnet.Editor(func(_ mono.Time, _ simnet.Direction, s *wire.Segment) {
		var set option.Set
		option.ParseAll(s, false, &set)
		if which.Has(s) && set.Has(option.SubCapable) {
			edit(&set.Capable)
			s.SetOther(set.Capable.Append(nil))
		}
	})
}

// RFC 8684 §3.1: a key that comes back changed means no MPTCP.
func TestKeyMismatch(t *testing.T) {
	w := newWorld(t, setup{paths: []simnet.Shape{slow}, up: 100_000, down: 100_000,
		boxes: [][]simnet.Box{{editCapable(simnet.Later, func(m *option.MPCapable) { m.ReceiverKey++ })}}})
	w.run(time.Minute)
	w.finish()
	if e, _ := last[Fallback](&w.server); e.Cause != KeyMismatch {
		t.Errorf("server fell back for %v", e.Cause)
	}
	if !has[Fallback](&w.client) {
		t.Error("the client did not fall back")
	}
}

// A listener without MPTCP, and a client that does not want it.
func TestPlain(t *testing.T) {
	plain := func(c *Config) { c.Plain = true }
	for _, s := range []setup{{server: plain}, {client: plain}, {client: plain, server: plain}} {
		s.paths, s.up, s.down = []simnet.Shape{slow}, 300_000, 300_000
		w := newWorld(t, s)
		w.run(time.Minute)
		w.finish()
		for _, s := range []*side{&w.client, &w.server} {
			e, ok := last[SubflowEstablished](s)
			if !ok || e.MPTCP != (s == &w.server && false) {
				t.Errorf("%s: %+v", s.name, e)
			}
		}
	}
}

// RFC 8684 §3.7: when options vanish on one of two subflows, that one is reset
// and the connection goes on.
func TestOptionsLostOnOneOfTwo(t *testing.T) {
	for path := range 2 {
		boxes := make([][]simnet.Box, 2)
		boxes[path] = []simnet.Box{simnet.Strip(option.Kind, simnet.Later, 300*time.Millisecond)}
		w := newWorld(t, setup{up: 3 << 20, down: 3 << 20, boxes: boxes})
		w.run(time.Minute)
		w.finish()
		if has[Fallback](&w.client) || has[Fallback](&w.server) {
			t.Errorf("path %d: fell back with two subflows", path)
		}
		reset := false
		for _, s := range []*side{&w.client, &w.server} {
			for _, e := range s.events {
				if x, ok := e.(SubflowClosed); ok && x.Reason == ErrInterference {
					reset = true
				}
			}
		}
		if !reset {
			t.Errorf("path %d: the subflow without options was not reset for it", path)
		}
	}
}

// RFC 8684 §3.7: no joins, no announcements after fallback.
func TestNothingAfterFallback(t *testing.T) {
	seen := 0
	watch := simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
		if d == simnet.Forward && len(s.Other()) > 0 {
			seen++
		}
	})
	w := newWorld(t, setup{up: 500_000, down: 500_000, boxes: [][]simnet.Box{
		{watch, simnet.Strip(option.Kind, simnet.SYNACK, 0)}}})
	w.run(time.Minute)
	if seen != 1 {
		t.Errorf("%d segments of the client's had MPTCP options, want the SYN only", seen)
	}
	if len(w.client.conn.Info().Subflows) > 1 {
		t.Error("there are two subflows")
	}
	w.client.sock.Do(func(now mono.Time) {
		w.client.conn.Path(now, policy.Event{Kind: policy.LocalRemoved, Address: localAddress(1)})
	})
	w.finish()
}

var _ tcp.App = (*Conn)(nil)
