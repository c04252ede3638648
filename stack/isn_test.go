package stack

import (
	"testing"
	"testing/synctest"
	"time"
)

// RFC 9293 §3.4.1 (MUST-8): the initial sequence number follows a clock that
// ticks every 4 µs, so that those of one 4-tuple grow by 250000 in a second
// (RFC 6528 §3), modulo 2^32.
func TestInitialSequenceClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		l, r := addrPort("10.0.0.1:80"), addrPort("10.0.0.2:1000")
		at := s.iss(l, r)
		for _, d := range []time.Duration{4 * time.Microsecond, time.Second, time.Hour, 5 * time.Hour} {
			time.Sleep(d)
			next := s.iss(l, r)
			if ticks := uint32(d / (4 * time.Microsecond)); uint32(next-at) != ticks {
				t.Errorf("after %v it grew by %d, want %d", d, uint32(next-at), ticks)
			}
			at = next
		}
	})
}
