package stack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/tuntest"
)

func quick(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestDialErrors(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	tests := []struct {
		name, network, address string
		want                   error
	}{
		// RFC 9293 §3.10.7.1: CLOSED answers with a RST.
		{"nobody listens", "tcp", "10.9.0.2:81", syscall.ECONNREFUSED},
		{"nobody listens, IPv6", "tcp", "[fd09::2]:81", syscall.ECONNREFUSED},
		// RFC 9293 §3.9.2.3 (MUST-63): no connections to such addresses.
		{"multicast", "tcp", "224.0.0.1:81", syscall.ENETUNREACH},
		{"broadcast", "tcp", "255.255.255.255:81", syscall.ENETUNREACH},
		{"unspecified", "tcp", "0.0.0.0:81", syscall.ENETUNREACH},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			conn, err := p.a.Dial(quick(t), c.network, c.address)
			if conn != nil || !errors.Is(err, c.want) {
				t.Fatalf("Dial = %v, %v, want %v", conn, err, c.want)
			}
			var op *net.OpError
			if !errors.As(err, &op) || op.Op != "dial" {
				t.Fatalf("error %T is not a dial OpError", err)
			}
		})
	}
}

func TestDialBadArguments(t *testing.T) {
	s := newStack(t, stack.Options{})
	for _, c := range []struct{ network, address string }{
		{"tcp", "10.0.0.1"}, {"tcp", "example.org:80"}, {"tcp4", "[::1]:80"}, {"tcp6", "10.0.0.1:80"},
		{"sctp", "10.0.0.1:80"}, {"tcp", "10.0.0.1:nosuchservice"}, {"", "10.0.0.1:80"},
	} {
		if conn, err := s.Dial(quick(t), c.network, c.address); err == nil {
			t.Errorf("Dial(%q, %q) = %v, want an error", c.network, c.address, conn)
		}
	}
}

func TestDialWithoutLink(t *testing.T) {
	s := newStack(t, stack.Options{})
	if _, err := s.Dial(quick(t), "tcp", "10.0.0.1:80"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Fatalf("err = %v, want ENETUNREACH", err)
	}
}

// A host that drops everything: only the deadline ends the dial.
func TestDialDeadline(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	p.b.SetLinkState(p.lb, false)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := p.a.Dial(ctx, "tcp", "10.9.0.2:81")
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("err = %v, want a timeout", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := p.a.Dial(ctx, "tcp", "10.9.0.2:81"); !errors.Is(err, context.Canceled) {
		t.Fatalf("err = %v, want Canceled", err)
	}
}

func TestDialLinkDown(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	p.a.SetLinkState(p.la, false)
	if _, err := p.a.Dial(quick(t), "tcp", "10.9.0.2:81"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Fatalf("err = %v, want ENETUNREACH", err)
	}
}

func TestLocalPort(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	l, err := p.b.Listen(t.Context(), "tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(addrB4, 80)
	c, err := p.a.DialTCP(quick(t), netip.AddrPortFrom(addrA4, 4321), to)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.LocalAddr().String(); got != "10.9.0.1:4321" {
		t.Errorf("local address %v", got)
	}
	if _, err := p.a.DialTCP(quick(t), netip.AddrPortFrom(addrA4, 4321), to); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("same 4-tuple again: %v, want EADDRINUSE", err)
	}
	if _, err := p.a.DialTCP(quick(t), netip.AddrPortFrom(addrB4, 0), to); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("foreign source address: %v, want EADDRNOTAVAIL", err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.RemoteAddr().String(); got != "10.9.0.1:4321" {
		t.Errorf("server sees %v", got)
	}
}

func TestListenErrors(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	l, err := p.b.Listen(t.Context(), "tcp", "10.9.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"10.9.0.2:80", ":80", "0.0.0.0:80"} {
		if _, err := p.b.Listen(t.Context(), "tcp", a); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Listen(%q) = %v, want EADDRINUSE", a, err)
		}
	}
	if six, err := p.b.Listen(t.Context(), "tcp6", ":80"); err != nil {
		t.Errorf("the other family: %v", err)
	} else {
		six.Close()
	}
	if _, err := p.b.Listen(t.Context(), "tcp", "10.9.0.77:80"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("foreign address: %v, want EADDRNOTAVAIL", err)
	}
	accepted := make(chan error)
	go func() { _, err := l.Accept(); accepted <- err }()
	l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if again, err := p.b.Listen(t.Context(), "tcp", "10.9.0.2:80"); err != nil {
		t.Errorf("port is not free after Close: %v", err)
	} else {
		again.(*stack.Listener).SetDeadline(time.Now().Add(-time.Second))
		if _, err := again.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Accept after its deadline: %v", err)
		}
	}
}

// Connections that wait in the queue of a listener are reset with it.
func TestListenerCloseResets(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	l, err := p.b.Listen(t.Context(), "tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.a.Dial(quick(t), "tcp", "10.9.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	l.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("Read = %v, want ECONNRESET", err)
	}
}

// The queue of connections nobody accepts is bounded; SYN cookies are for
// half-open ones only.
func TestBacklog(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		if _, err := p.b.ListenPlain(netip.AddrPortFrom(addrB4, 80), 2); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := p.a.Dial(t.Context(), "tcp", "10.9.0.2:80"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second) // the third segment of both handshakes is there
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := p.a.Dial(ctx, "tcp", "10.9.0.2:80"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("third connection: %v, want a timeout", err)
		}
		c := p.b.Counters()
		if c.BacklogDropped.Load() == 0 || c.CookiesSent.Load() != 0 {
			t.Errorf("%d SYNs dropped, %d cookies sent", c.BacklogDropped.Load(), c.CookiesSent.Load())
		}
	})
}

func TestAbort(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	for name, abort := range map[string]func(*stack.Conn){
		"Abort":     func(c *stack.Conn) { c.Abort() },
		"SetLinger": func(c *stack.Conn) { c.SetLinger(0); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c, s := p.connect(t, addrB4)
			abort(c.(*stack.Conn))
			s.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("peer reads %v, want ECONNRESET", err)
			}
			if _, err := s.Write(make([]byte, 1)); err == nil {
				t.Error("peer can still write")
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("own Read %v, want ErrClosed", err)
			}
		})
	}
}

func TestHalfClose(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	c, s := p.connect(t, addrB4)
	if err := c.(*stack.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Write after CloseWrite: %v, want EPIPE", err)
	}
	if b, err := io.ReadAll(s); err != nil || len(b) != 0 {
		t.Fatalf("ReadAll = %q, %v", b, err)
	}
	if _, err := s.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "still here" {
		t.Fatalf("ReadAll = %q, %v", b, err)
	}
}

func TestCloseRead(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	c, _ := p.connect(t, addrB4)
	read := make(chan error)
	go func() { _, err := c.Read(make([]byte, 1)); read <- err }()
	if err := c.(*stack.Conn).CloseRead(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != io.EOF {
		t.Fatalf("blocked Read returned %v, want EOF", err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatalf("Write after CloseRead: %v", err)
	}
}

// A stack that closes ends what blocks in it and tells its peers.
func TestStackClose(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	c, _ := p.connect(t, addrB4)
	sent := p.a.Counters().SegmentsSent.Load()
	l, err := p.a.Listen(t.Context(), "tcp", ":99")
	if err != nil {
		t.Fatal(err)
	}
	u, err := p.a.ListenUDP(netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 3)
	go func() { _, err := c.Read(make([]byte, 1)); errs <- err }()
	go func() { _, err := l.Accept(); errs <- err }()
	go func() { _, err := u.Read(make([]byte, 1)); errs <- err }()
	if err := p.a.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("blocked call returned %v, want ErrClosed", err)
		}
	}
	if n := p.a.Counters().SegmentsSent.Load(); n != sent+1 {
		t.Errorf("%d segments sent while closing, want one: the RST", n-sent)
	}
	if _, err := p.a.Dial(quick(t), "tcp", "10.9.0.2:80"); err == nil {
		t.Error("a closed stack still dials")
	}
}
