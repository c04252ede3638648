package seq

import "testing"

// RFC 9293 §3.4: all comparisons are modulo 2^32, on either side of every wrap,
// and half of the space is before a number, half after it.
func TestWrap(t *testing.T) {
	for _, origin := range []Num{0, 1, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff} {
		for _, d := range []int{1, 15, 16, 1 << 16, 1 << 30, 1<<31 - 1} {
			n, m := origin.Add(d), origin
			if !m.Before(n) || !m.BeforeEq(n) || m.After(n) || m.AfterEq(n) ||
				n.Before(m) || n.BeforeEq(m) || !n.After(m) || !n.AfterEq(m) {
				t.Errorf("%#x is not taken to be %d after %#x", n, d, m)
			}
			if n.Sub(m) != d || m.Sub(n) != -d || n.Add(-d) != m {
				t.Errorf("%#x to %#x: distance %d, want %d", m, n, n.Sub(m), d)
			}
			if Max(m, n) != n || Max(n, m) != n || Min(m, n) != m || Min(n, m) != m {
				t.Errorf("the later of %#x and %#x", m, n)
			}
			if !m.In(m, d) || m.Add(d-1).In(m, d) != true || n.In(m, d) || m.Add(-1).In(m, d) {
				t.Errorf("[%#x,+%d) has the wrong members", m, d)
			}
		}
		if n := origin; n.Before(n) || n.After(n) || !n.BeforeEq(n) || !n.AfterEq(n) || n.In(n, 0) {
			t.Errorf("%#x against itself", origin)
		}
	}
	// SND.UNA=0xfffffff0, SND.NXT=0x10: which ACKs are new?
	una, nxt := Num(0xfffffff0), Num(0x10)
	for ack, want := range map[Num]bool{5: true, 0x10: true, 0xfffffff1: true, 0x11: false, 0xffffffef: false, 0xfffffff0: false} {
		if got := ack.After(una) && ack.BeforeEq(nxt); got != want {
			t.Errorf("ACK %#x is new: %v, want %v", ack, got, want)
		}
	}
}

// RFC 8684 §3.3.1: data sequence numbers have 64 bits, modulo 2^64.
func TestDataWrap(t *testing.T) {
	for _, origin := range []Data{0, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		for _, d := range []int{1, 1 << 20, 1 << 40} {
			n := origin.Add(d)
			if !origin.Before(n) || !origin.BeforeEq(n) || n.Before(origin) || n.BeforeEq(origin) ||
				n.Sub(origin) != int64(d) || n.Add(-d) != origin {
				t.Errorf("%#x and %#x, %d apart", origin, n, d)
			}
		}
	}
}
