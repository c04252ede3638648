package stack

import (
	"net/netip"
	"testing"
)

// The peers a socket remembers are bounded; the oldest go first.
func TestWaysBound(t *testing.T) {
	var w ways
	peer := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 9)
	}
	const n = 3*maxWays + 5
	for i := range n {
		w.learn(peer(i), way{link: 1})
		w.learn(peer(i), way{link: 2})
	}
	if len(w.by) != maxWays || len(w.order) != maxWays {
		t.Errorf("%d peers, %d in order", len(w.by), len(w.order))
	}
	for i := n - maxWays; i < n; i++ {
		if w.by[peer(i)].link != 2 {
			t.Fatalf("peer %d of %d is forgotten", i, n)
		}
	}
}
