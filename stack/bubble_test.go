package stack_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// inBubble runs f with two stacks 50 ms apart, in virtual time. Everything has
// to be closed at the end, or the bubble reports who is left.
func inBubble(t *testing.T, o tuntest.PipeOptions, f func(t *testing.T, p *pair)) {
	t.Helper()
	o.Delay = 50 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, o, stack.Options{}, stack.Options{})
		f(t, p)
		p.a.Close()
		p.b.Close()
	})
}

func TestHandshakeTakesOneRoundTrip(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		start := time.Now()
		p.connect(t, addrB4)
		// connect returns when the third segment has reached the listener.
		if d := time.Since(start); d != 150*time.Millisecond {
			t.Errorf("handshake took %v", d)
		}
	})
}

// RFC 9293 §3.6.1: the side that closed first keeps its 4-tuple for 2 MSL.
func TestTimeWaitFreesTheTuple(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		c, s := p.connect(t, addrB4)
		c.Close()
		io.ReadAll(s)
		s.Close()
		time.Sleep(time.Second)
		if n := p.b.Sockets(); n != 0 {
			t.Errorf("%d sockets at the passive closer", n)
		}
		if n := p.a.Sockets(); n != 1 {
			t.Errorf("%d sockets in TIME-WAIT, want 1", n)
		}
		time.Sleep(60 * time.Second)
		if n := p.a.Sockets(); n != 0 {
			t.Errorf("%d sockets after TIME-WAIT", n)
		}
	})
}

func TestBulkOverLossyLink(t *testing.T) {
	o := tuntest.PipeOptions{Rate: 50e6, Queue: 256 << 10, Loss: 0.01, Seed: 7}
	inBubble(t, o, func(t *testing.T, p *pair) {
		c, s := p.connect(t, addrB6)
		want := pattern(4 << 20)
		go func() {
			c.Write(want)
			c.Close()
		}()
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		s.Close()
	})
}

// Deadlines end blocked calls when they come, also ones set meanwhile.
func TestDeadlines(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		c, _ := p.connect(t, addrB4)
		start := time.Now()
		c.SetReadDeadline(start.Add(time.Hour))
		time.AfterFunc(time.Second, func() { c.SetReadDeadline(start.Add(2 * time.Second)) })
		_, err := c.Read(make([]byte, 1))
		if d := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || d != 2*time.Second {
			t.Errorf("Read returned %v after %v", err, d)
		}
		c.SetReadDeadline(time.Time{})
		start = time.Now()
		c.SetWriteDeadline(start.Add(3 * time.Second))
		n, err := c.Write(make([]byte, 64<<20)) // nobody reads
		if d := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || d != 3*time.Second || n == 0 {
			t.Errorf("Write returned %d, %v after %v", n, err, d)
		}
	})
}

// RFC 9293 §3.8.3: without an answer a dial ends by itself, R2 at least 3
// minutes for a SYN (MUST-23).
func TestDialGivesUp(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		p.b.SetLinkState(p.lb, false)
		start := time.Now()
		_, err := p.a.DialTCP(context.Background(), netip.AddrPort{}, netip.AddrPortFrom(addrB4, 80))
		if d := time.Since(start); !errors.Is(err, syscall.ETIMEDOUT) || d < 3*time.Minute || d > 5*time.Minute {
			t.Errorf("Dial returned %v after %v", err, d)
		}
		if n := p.a.Sockets(); n != 0 {
			t.Errorf("%d sockets left", n)
		}
	})
}

// Keep-alive finds out that the peer is gone (RFC 9293 §3.8.4).
func TestKeepAlive(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		c, _ := p.connect(t, addrB4)
		c.(*stack.Conn).SetKeepAliveConfig(net.KeepAliveConfig{Enable: true,
			Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3})
		time.Sleep(time.Minute) // the peer answers
		p.b.SetLinkState(p.lb, false)
		start := time.Now()
		_, err := c.Read(make([]byte, 1))
		if d := time.Since(start); !errors.Is(err, syscall.ETIMEDOUT) || d > 30*time.Second {
			t.Errorf("Read returned %v after %v", err, d)
		}
	})
}

// What was written before Close arrives, unless lingering ends first.
func TestLinger(t *testing.T) {
	o := tuntest.PipeOptions{Rate: 400e3, Queue: 16 << 10}
	inBubble(t, o, func(t *testing.T, p *pair) {
		want := pattern(512 << 10) // ten seconds at that rate
		c, s := p.connect(t, addrB4)
		go func() {
			c.Write(want)
			c.Close()
		}()
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, want) {
			t.Errorf("in the background: %d bytes, %v", len(got), err)
		}
		s.Close()

		c, s = p.connect(t, addrB4)
		c.(*stack.Conn).SetLinger(1)
		go func() {
			c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			c.Write(want)
			c.Close()
		}()
		if got, err := io.ReadAll(s); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("lingering: %d bytes, %v, want ECONNRESET", len(got), err)
		}
		s.Close()
	})
}

// A connection outlives a link that is down for a while.
func TestLinkDownAndUp(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		c, s := p.connect(t, addrB4)
		p.a.SetLinkState(p.la, false)
		c.Write([]byte("late"))
		time.AfterFunc(10*time.Second, func() { p.a.SetLinkState(p.la, true) })
		buf := make([]byte, 4)
		if _, err := io.ReadFull(s, buf); err != nil || string(buf) != "late" {
			t.Errorf("read %q, %v", buf, err)
		}
	})
}

func TestUserTimeout(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		c, _ := p.connect(t, addrB4)
		c.(*stack.Conn).SetUserTimeout(20 * time.Second)
		p.b.SetLinkState(p.lb, false)
		start := time.Now()
		c.Write([]byte("x"))
		_, err := c.Read(make([]byte, 1))
		if d := time.Since(start); !errors.Is(err, syscall.ETIMEDOUT) || d < 20*time.Second || d > 40*time.Second {
			t.Errorf("Read returned %v after %v", err, d)
		}
		if i := c.(*stack.Conn).Info(); i.State != tcp.ClosedState {
			t.Errorf("state %v", i.State)
		}
	})
}
