package stack

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// RFC 4987 §3.6: a cookie is good for its 4-tuple, its sequence number and the
// slot it was made in, or the next. All else is refused, whatever is changed.
func TestCookieMAC(t *testing.T) {
	s := new(Stack)
	if _, err := rand.Read(s.isn[:]); err != nil {
		t.Fatal(err)
	}
	k := tuple{addrPort("10.0.0.1:80"), addrPort("10.0.0.2:4000")}
	var syn, ack wire.Segment
	for _, c := range []struct{ offered, want uint16 }{
		{0, 536}, {100, 216}, {535, 216}, {536, 536}, {1300, 1220}, {1400, 1400}, {1459, 1440}, {1460, 1460}, {9000, 8940}, {65535, 8940},
	} {
		for _, now := range []mono.Time{1, mono.Time(31*cookieSlot + 1), mono.Time(1000 * time.Hour)} {
			syn.Reset()
			syn.Flags, syn.Seq = wire.SYN, 7000
			syn.Options.MSS = c.offered
			n := s.cookie(now, k, &syn)
			ack.Reset()
			ack.Flags, ack.Seq, ack.Ack = wire.ACK, 7001, n+1
			for _, later := range []time.Duration{0, cookieSlot} {
				if mss, ok := s.checkCookie(now.Add(later), k, &ack); !ok || mss != c.want {
					t.Errorf("offered %d: %d %v after %v", c.offered, mss, ok, later)
				}
			}
			for _, later := range []time.Duration{2 * cookieSlot, 31 * cookieSlot, 33 * cookieSlot} {
				if _, ok := s.checkCookie(now.Add(later), k, &ack); ok {
					t.Errorf("good after %v", later)
				}
			}
			other := tuple{k.local, addrPort("10.0.0.2:4001")}
			if _, ok := s.checkCookie(now, other, &ack); ok {
				t.Error("good for another 4-tuple")
			}
			wrong := ack
			wrong.Seq++
			if _, ok := s.checkCookie(now, k, &wrong); ok {
				t.Error("good for another sequence number")
			}
			for bit := range 32 {
				wrong := ack
				wrong.Ack = ((ack.Ack - 1) ^ 1<<bit) + 1
				if _, ok := s.checkCookie(now, k, &wrong); ok {
					t.Errorf("good with bit %d changed", bit)
				}
			}
		}
	}
}

// RFC 4987 §3.6: two stacks, and two slots of one, do not make the same cookies.
func TestCookieKeys(t *testing.T) {
	a, b := new(Stack), new(Stack)
	a.isn[0], b.isn[0] = 1, 2
	k := tuple{addrPort("10.0.0.1:80"), addrPort("10.0.0.2:4000")}
	if a.cookieMAC(k, 1, 5, 0) == b.cookieMAC(k, 1, 5, 0) || a.cookieMAC(k, 1, 5, 0) == a.cookieMAC(k, 1, 6, 0) {
		t.Error("the key does not matter")
	}
}
