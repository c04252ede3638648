package stack_test

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// RFC 7413 §3, RFC 7413 §4.2: the second request to a server is answered after one round
// trip, the first after two; so on both sides Fast Open has to be asked for (RFC 7413 §2).
func TestFastOpen(t *testing.T) {
	for _, to := range []netip.Addr{addrB4, addrB6} {
		inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
			l, err := p.b.ListenFast(netip.AddrPortFrom(to, 80), stack.DefaultBacklog, 10)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						b := make([]byte, 5)
						io.ReadFull(c, b)
						c.Write(append([]byte("you said "), b...))
						c.Close()
					}()
				}
			}()
			for i, want := range []time.Duration{2, 1, 1} {
				start := time.Now()
				c, n, err := p.a.DialFast(t.Context(), netip.AddrPort{}, netip.AddrPortFrom(to, 80), []byte("hello"))
				if err != nil || n != 5 {
					t.Fatalf("%d bytes taken, %v", n, err)
				}
				b := make([]byte, 14)
				if _, err := io.ReadFull(c, b); err != nil || string(b) != "you said hello" {
					t.Fatalf("%q, %v", b, err)
				}
				if d := time.Since(start); d != want*100*time.Millisecond {
					t.Errorf("request %d took %v", i, d)
				}
				c.Close()
			}
			if n := p.b.Counters().FastOpensAccepted.Load(); n != 2 {
				t.Errorf("%d opened fast, want 2", n)
			}
			l.Close()
		})
	}
}

// RFC 7413 §4.2: no more than the limit are open before their handshake is done;
// with none, Fast Open still works as an ordinary handshake.
func TestFastOpenPending(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		l, err := p.b.ListenFast(netip.AddrPortFrom(addrB4, 80), stack.DefaultBacklog, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c, _, err := p.a.DialFast(t.Context(), netip.AddrPort{}, netip.AddrPortFrom(addrB4, 80), []byte("hello"))
			if err != nil {
				t.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 5)
			if _, err := io.ReadFull(s, b); err != nil || string(b) != "hello" {
				t.Fatalf("%q, %v", b, err)
			}
			c.Close()
			s.Close()
		}
		if n := p.b.Counters().FastOpensRefused.Load(); n != 1 {
			t.Errorf("%d refused, want 1", n)
		}
		l.Close()
	})
}
