package stack_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// closeBoth closes a first, so that a is the one in TIME-WAIT.
func closeBoth(t *testing.T, a, b net.Conn) {
	t.Helper()
	a.Close()
	if _, err := io.ReadAll(b); err != nil {
		t.Error(err)
	}
	b.Close()
}

// TIME-WAIT is bounded in number: the oldest go first, and all go after 2 MSL.
func TestTimeWaitBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, tuntest.PipeOptions{Delay: time.Millisecond}, stack.Options{MaxTimeWait: 10}, stack.Options{})
		for range 25 {
			c, s := p.connect(t, addrB4)
			closeBoth(t, c, s)
			time.Sleep(100 * time.Millisecond)
		}
		if n := p.a.Sockets(); n != 10 {
			t.Errorf("%d in TIME-WAIT, want 10", n)
		}
		if n := p.a.Counters().TimeWaitsEvicted.Load(); n != 15 {
			t.Errorf("%d evicted, want 15", n)
		}
		if n := p.b.Sockets(); n != 0 {
			t.Errorf("%d at the passive closer", n)
		}
		time.Sleep(58 * time.Second)
		if n := p.a.Sockets(); n != 10 {
			t.Errorf("%d in TIME-WAIT after 58 s, want 10", n)
		}
		time.Sleep(2 * time.Second)
		if n := p.a.Sockets(); n != 0 {
			t.Errorf("%d in TIME-WAIT after 2 MSL", n)
		}
		p.a.Close()
		p.b.Close()
	})
}

// RFC 6191 §2: a client that comes back from the same port is served though the
// server is in TIME-WAIT, and the new connection's numbers lie beyond the old
// one's (RFC 9293 §3.4.1).
func TestTimeWaitReopened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, tuntest.PipeOptions{Delay: time.Millisecond}, stack.Options{Tuning: tcp.Tuning{TimeWait: -1}}, stack.Options{})
		l, err := p.b.ListenTCP(netip.AddrPortFrom(addrB4, 80))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			c, err := p.a.DialTCP(t.Context(), netip.AddrPortFrom(addrA4, 4000), netip.AddrPortFrom(addrB4, 80))
			if err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			closeBoth(t, s, c)
			time.Sleep(time.Second)
			if n := p.b.Sockets(); n != 1 {
				t.Fatalf("%d sockets at the server, want one in TIME-WAIT", n)
			}
		}
		if n := p.b.Counters().TimeWaitsReopened.Load(); n != 4 {
			t.Errorf("%d reopened, want 4", n)
		}
		p.a.Close()
		p.b.Close()
	})
}

// From this side, too, a 4-tuple in TIME-WAIT is used again when it must be and
// may be: not within the first second, and not without timestamps
// (RFC 1122 §4.2.2.13, RFC 6191 §2).
func TestTimeWaitReused(t *testing.T) {
	for _, noTimestamps := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tuning := tcp.Tuning{NoTimestamps: noTimestamps}
			p := newPair(t, tuntest.PipeOptions{Delay: time.Millisecond}, stack.Options{Tuning: tuning}, stack.Options{})
			l, err := p.b.ListenTCP(netip.AddrPortFrom(addrB4, 80))
			if err != nil {
				t.Fatal(err)
			}
			dial := func() (*stack.Conn, error) {
				return p.a.DialTCP(t.Context(), netip.AddrPortFrom(addrA4, 4000), netip.AddrPortFrom(addrB4, 80))
			}
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			closeBoth(t, c, s)
			time.Sleep(500 * time.Millisecond)
			if _, err := dial(); err == nil {
				t.Error("used again at once")
			}
			time.Sleep(time.Second)
			if _, err := dial(); (err == nil) == noTimestamps {
				t.Errorf("used again after 1.5 s, timestamps %v: %v", !noTimestamps, err)
			}
			p.a.Close()
			p.b.Close()
		})
	}
}

// RFC 9293 §3.10.7.4 and RFC 1337 §3 on the wire: the record answers the FIN
// that comes again, and outlives a RST.
func TestTimeWaitAnswers(t *testing.T) {
	w := newWire(t, stack.Options{})
	to := netip.AddrPortFrom(addrA4, 80)
	l, err := w.s.ListenTCP(to)
	if err != nil {
		t.Fatal(err)
	}
	w.injectTCP(peer4, to, wire.Segment{Flags: wire.SYN, Seq: 100}, "")
	syn, _ := w.nextTCP()
	w.injectTCP(peer4, to, wire.Segment{Flags: wire.ACK, Seq: 101, Ack: syn.Seq + 1}, "")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	fin, _ := w.nextTCP()
	if !fin.Flags.Has(wire.FIN) {
		t.Fatalf("got %v", &fin)
	}
	for range 3 {
		w.injectTCP(peer4, to, wire.Segment{Flags: wire.FIN | wire.ACK, Seq: 101, Ack: fin.Seq + 1}, "")
		if a, _ := w.nextTCP(); a.Flags != wire.ACK || a.Ack != 102 || a.Seq != fin.Seq+1 {
			t.Fatalf("answer to the FIN: %v", &a)
		}
		w.injectTCP(peer4, to, wire.Segment{Flags: wire.RST, Seq: 102}, "")
		w.nothing()
	}
	if n := w.s.Sockets(); n != 1 {
		t.Errorf("%d sockets, want one in TIME-WAIT", n)
	}
}
