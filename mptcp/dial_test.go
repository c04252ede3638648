package mptcp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/mptcp/conn"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// inBubble runs f with two hosts and two links, 20 and 40 ms long, in virtual
// time. The bubble reports what is left at its end.
func inBubble(t *testing.T, f func(t *testing.T, d *dual)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDual(t, [2]tuntest.PipeOptions{
			{Rate: 20e6, Delay: 20 * time.Millisecond, Queue: 128 << 10},
			{Rate: 20e6, Delay: 40 * time.Millisecond, Queue: 128 << 10}})
		f(t, d)
		d.client.Close()
		d.server.Close()
	})
}

// echo serves until its listener is closed.
func echo(t *testing.T, lc mptcp.ListenConfig, address string) net.Listener {
	t.Helper()
	l, err := lc.Listen(t.Context(), "tcp", address)
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
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return l
}

// ask sends a question over c and checks that the answer is the same.
func ask(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "question" {
		t.Fatalf("answer %q, %v", buf, err)
	}
}

// A preferred link that is dead is left after a second for the next one.
func TestDialTriesNextLink(t *testing.T) {
	inBubble(t, func(t *testing.T, d *dual) {
		echo(t, mptcp.ListenConfig{Stack: d.server}, "10.2.0.1:80")
		d.devs[0].SetDown(true)
		d.far[0].SetDown(true)
		dialer := mptcp.Dialer{Stack: d.client}
		start := time.Now()
		c, err := dialer.Dial("tcp", "10.2.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < time.Second || took > 1200*time.Millisecond {
			t.Errorf("dial took %v", took)
		}
		if a := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); a.Unmap() != clientAddrs(1)[0].Addr() {
			t.Errorf("connected from %v", a)
		}
		ask(t, c)
		c.Close()
		time.Sleep(5 * time.Minute)
		if n := d.client.Sockets(); n != 0 {
			t.Errorf("%d sockets left", n)
		}
	})
}

// A link that is down, or without an address of the family, is not tried.
func TestDialSkipsLinks(t *testing.T) {
	inBubble(t, func(t *testing.T, d *dual) {
		echo(t, mptcp.ListenConfig{Stack: d.server}, ":80")
		d.client.SetLinkState(d.ids[0], false)
		dialer := mptcp.Dialer{Stack: d.client}
		start := time.Now()
		c, err := dialer.Dial("tcp", "[fd02::1]:80")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start).Round(time.Millisecond); took != 80*time.Millisecond {
			t.Errorf("dial took %v, want a round trip of cell0", took)
		}
		c.Close()
		d.client.RemoveAddr(d.ids[1], clientAddrs(1)[1].Addr())
		if _, err := dialer.Dial("tcp", "[fd02::1]:80"); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("without IPv6: %v, want ENETUNREACH", err)
		}
		if _, err := dialer.Dial("tcp6", "10.2.0.1:80"); err == nil {
			t.Error("tcp6 took an IPv4 address")
		}
	})
}

func TestDialErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, d *dual) {
		dialer := mptcp.Dialer{Stack: d.client}
		if _, err := dialer.Dial("tcp", "10.2.0.1:81"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		for _, c := range [][2]string{{"udp", "10.2.0.1:81"}, {"tcp", "10.2.0.1"}, {"tcp", "name.example:80"}} {
			if _, err := dialer.Dial(c[0], c[1]); err == nil {
				t.Errorf("Dial(%q, %q) works", c[0], c[1])
			}
		}
		bad := mptcp.Dialer{Stack: d.client, Service: "warp"}
		if _, err := bad.Dial("tcp", "10.2.0.1:81"); err == nil {
			t.Error("an unknown service is accepted")
		}
		for i := range d.far {
			d.devs[i].SetDown(true)
		}
		dialer.Timeout = 3 * time.Second
		start := time.Now()
		_, err := dialer.Dial("tcp", "10.2.0.1:80")
		var ne net.Error
		if took := time.Since(start); !errors.As(err, &ne) || !ne.Timeout() || took != dialer.Timeout {
			t.Errorf("dead network: %v after %v", err, took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := dialer.DialContext(ctx, "tcp", "10.2.0.1:80"); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		time.Sleep(time.Minute)
		if n := d.client.Sockets(); n != 0 {
			t.Errorf("%d sockets left", n)
		}
	})
}

// Peers without Multipath TCP are served and reached by plain TCP. Checksums
// (RFC 8684 §3.3) are there where one side wants them.
func TestPlainPeers(t *testing.T) {
	inBubble(t, func(t *testing.T, d *dual) {
		echo(t, mptcp.ListenConfig{Stack: d.server}, ":80")
		plain, err := d.client.Dial(t.Context(), "tcp", "10.2.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		ask(t, plain)
		plain.Close()

		l, err := d.server.Listen(t.Context(), "tcp", ":81")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err == nil {
				io.Copy(c, c)
				c.Close()
			}
		}()
		for name, c := range map[string]struct {
			dialer mptcp.Dialer
			port   string
			cause  conn.Cause
		}{
			"server without":     {mptcp.Dialer{Stack: d.client}, "81", conn.SYNACKWithout},
			"service none":       {mptcp.Dialer{Stack: d.client, Service: "none"}, "80", conn.NotOffered},
			"NoMPTCP":            {mptcp.Dialer{Stack: d.client, NoMPTCP: true}, "80", conn.NotOffered},
			"checksums required": {mptcp.Dialer{Stack: d.client, Checksum: true}, "80", conn.NoCause},
		} {
			nc, err := c.dialer.Dial("tcp", "10.2.0.1:"+c.port)
			if err != nil {
				t.Fatal(name, err)
			}
			ask(t, nc)
			i := nc.(*mptcp.Conn).Info()
			if ok, _ := nc.(*mptcp.Conn).MultipathTCP(); ok != (c.cause == conn.NoCause) || i.Cause != c.cause || i.Checksum != c.dialer.Checksum {
				t.Errorf("%s: MultipathTCP %v, %+v", name, ok, i)
			}
			nc.Close()
		}
	})
}

// Names are looked up over the stack itself, both families are tried, and the
// one that answers wins.
func TestDialByName(t *testing.T) {
	// The first use of the resolver makes state for the whole process, which must
	// not belong to a bubble.
	first := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no network")
	}}
	first.LookupHost(t.Context(), "nobody.invalid")
	inBubble(t, func(t *testing.T, d *dual) {
		// Not bound to an address: two links have it, and answers are to take the
		// first.
		pc, err := d.server.ListenPacket(t.Context(), "udp", ":53")
		if err != nil {
			t.Fatal(err)
		}
		ns := dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(answer)}
		go ns.ActivateAndServe()
		echo(t, mptcp.ListenConfig{Stack: d.server}, "10.2.0.1:80")
		dialer := mptcp.Dialer{Stack: d.client,
			Resolver: d.client.Resolver(netip.MustParseAddrPort("10.2.0.1:53"))}
		// The AAAA leads nowhere: its SYNs are swallowed.
		start := time.Now()
		c, err := dialer.Dial("tcp", "server.example:80")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 600*time.Millisecond {
			t.Errorf("dial took %v", took)
		}
		ask(t, c)
		if _, err := dialer.Dial("tcp", "nobody.example:80"); err == nil {
			t.Error("a name that does not exist was dialed")
		}
		if _, err := dialer.Dial("tcp6", "server.example:nosuchport"); err == nil {
			t.Error("a port that does not exist was dialed")
		}
		c.Close()
		ns.Shutdown()
	})
}

func answer(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	if q.Question[0].Name != "server.example." {
		m.Rcode = dns.RcodeNameError
	} else if line := map[uint16]string{
		dns.TypeA:    "server.example. 60 IN A 10.2.0.1",
		dns.TypeAAAA: "server.example. 60 IN AAAA fd02::dead"}[q.Question[0].Qtype]; line != "" {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	w.WriteMsg(m)
}

var _ stack.Machine = (*conn.Conn)(nil)
