package conn

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/wire"
)

func wantChecksum(on bool) func(*Config) { return func(c *Config) { c.Checksum = on } }

// RFC 8684 §3.1, §3.3.1: either side's A flag means checksums for both.
func TestChecksumNegotiated(t *testing.T) {
	for _, c := range []struct{ client, server bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		w := newWorld(t, setup{up: 1 << 20, down: 1 << 20, client: wantChecksum(c.client), server: wantChecksum(c.server)})
		w.run(time.Minute)
		w.finish()
		want := c.client || c.server
		for _, s := range []*side{&w.client, &w.server} {
			if got := s.conn.Info().Checksum; got != want {
				t.Errorf("%+v: %s uses checksums: %v", c, s.name, got)
			}
			if has[Fallback](s) {
				t.Errorf("%+v: %s fell back", c, s.name)
			}
		}
	}
}

// flip changes the first payload byte of segment number n of a direction, and
// of every later transmission of the same bytes: a gateway does it each time.
func flip(d simnet.Direction, n int) simnet.Box {
	seen, at, known := 0, uint32(0), false
	return simnet.Editor(func(_ mono.Time, way simnet.Direction, s *wire.Segment) {
		if way != d || len(s.Payload) == 0 {
			return
		}
		seen++
		if seen == n {
			at, known = uint32(s.Seq), true
		}
		if known && at-uint32(s.Seq) < uint32(s.Len()) {
			s.Payload[0].B[at-uint32(s.Seq)] ^= 0x20
		}
	})
}

// RFC 8684 §3.7: a changed byte on the only subflow makes the connection plain
// TCP, with the bytes as the middlebox left them; the peer is told by MP_FAIL
// and answers with an MP_FAIL and an infinite mapping.
func TestChecksumFailsAlone(t *testing.T) {
	for _, d := range []simnet.Direction{simnet.Forward, simnet.Backward} {
		for _, n := range []int{1, 20} {
			fails, infinite := [2]int{}, [2]int{}
			watch := simnet.Editor(func(_ mono.Time, way simnet.Direction, s *wire.Segment) {
				var set option.Set
				option.ParseAll(s, true, &set)
				if set.Has(option.SubFail) {
					fails[way]++
				}
				if set.Has(option.SubDSS) && set.DSS.Infinite() {
					infinite[way]++
				}
			})
			w := newWorld(t, setup{paths: []simnet.Shape{slow}, up: 200_000, down: 200_000, super: 1,
				client: wantChecksum(true), boxes: [][]simnet.Box{{flip(d, n), watch}}})
			w.dial()
			from, to := &w.client, &w.server
			if d == simnet.Backward {
				from, to = to, from
			}
			done := func() bool {
				return w.server.talker != nil && (w.server.talker.Err != nil || w.client.talker.Err != nil)
			}
			if !w.Run(time.Minute, done) {
				t.Fatalf("the changed byte was not delivered: %v", w.Err())
			}
			if e, _ := last[Fallback](to); e.Cause != ChecksumFailed {
				t.Errorf("dir %d seg %d: receiver fell back for %v", d, n, e.Cause)
			}
			// Both applications stopped at the wrong byte, or still go on: let the
			// connection go on under them.
			w.Sleep(time.Second)
			if e, _ := last[Fallback](from); e.Cause != FailReceived {
				t.Errorf("dir %d seg %d: sender fell back for %v", d, n, e.Cause)
			}
			if fails[d.Reverse()] == 0 || fails[d] == 0 {
				t.Errorf("dir %d seg %d: MP_FAIL seen %v", d, n, fails)
			}
			if infinite[d] == 0 {
				t.Errorf("dir %d seg %d: no infinite mapping", d, n)
			}
		}
	}
}

// RFC 8684 §3.7: with two subflows the changed one is reset with MP_FAIL; what
// it carried is sent again on the other, and every byte is right.
func TestChecksumFailsOnOneOfTwo(t *testing.T) {
	for path := range 2 {
		for _, d := range []simnet.Direction{simnet.Forward, simnet.Backward} {
			boxes := make([][]simnet.Box, 2)
			boxes[path] = []simnet.Box{simnet.Scramble(d, 250*time.Millisecond)}
			// One segment a mapping: of several, changed bits may cancel out.
			w := newWorld(t, setup{up: 3 << 20, down: 3 << 20, client: wantChecksum(true), boxes: boxes, super: 1})
			w.run(time.Minute)
			w.finish()
			receiver := &w.server
			if d == simnet.Backward {
				receiver = &w.client
			}
			found := false
			for _, e := range receiver.events {
				if x, ok := e.(SubflowClosed); ok && x.Reason == ErrChecksum {
					found = true
				}
			}
			if !found {
				t.Errorf("path %d direction %d: no subflow was closed for its checksum", path, d)
			}
			if has[Fallback](&w.client) || has[Fallback](&w.server) {
				t.Errorf("path %d direction %d: fell back with two subflows", path, d)
			}
		}
	}
}

// RFC 8684 §3.3: a checksum where none was agreed on, or none where one was,
// resets the subflow.
func TestChecksumPresence(t *testing.T) {
	for _, on := range []bool{false, true} {
		n := 0
		box := simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
			var set option.Set
			option.ParseAll(s, on, &set)
			if d != simnet.Forward || !set.Has(option.SubDSS) || !set.DSS.HasMap {
				return
			}
			if n++; n > 30 {
				set.DSS.HasSum = !on
				set.DSS.Ack8 = false
				set.DSS.DSN8 = false
				s.SetOther(set.DSS.Append(nil))
			}
		})
		w := newWorld(t, setup{up: 4 << 20, down: 10, client: wantChecksum(on), boxes: [][]simnet.Box{{}, {box}}})
		w.run(time.Minute)
		w.finish()
		found := false
		for _, e := range w.server.events {
			if x, ok := e.(SubflowClosed); ok && x.Reason == ErrMapping {
				found = true
			}
		}
		if !found {
			t.Errorf("checksums %v: no subflow was closed", on)
		}
	}
}
