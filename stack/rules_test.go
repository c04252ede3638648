package stack_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// withOptions puts options into an IPv4 header.
func withOptions(p []byte, options ...byte) []byte {
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	q := append(append(append([]byte{}, p[:20]...), options...), p[20:]...)
	q[0] = 0x40 | byte(20+len(options))/4
	binary.BigEndian.PutUint16(q[2:], uint16(len(q)))
	q[10], q[11] = 0, 0
	binary.BigEndian.PutUint16(q[10:], ^wire.Sum(q[:20+len(options)], 0, false))
	return q
}

// RFC 9293 §3.9.2 (MUST-50): IP options that are not understood, and those that
// are for routers, are ignored. Departs from RFC 9293 §3.9.2.1 (MUST-51 to
// MUST-53): what came by a source route is dropped and counted.
func TestIPOptions(t *testing.T) {
	w := newWire(t, stack.Options{})
	to := netip.AddrPortFrom(addrA4, 81)
	syn := packet(peer4.Addr(), addrA4, 6, 0, tcpBytes(peer4, to, wire.Segment{Flags: wire.SYN, Seq: 8}, ""))
	for name, c := range map[string]struct {
		options []byte
		drop    bool
	}{
		"unknown option":         {[]byte{0x9e, 4, 1, 2}, false},
		"experiment of RFC 4727": {[]byte{0x5e, 6, 1, 2, 3, 4}, false},
		"router alert":           {[]byte{148, 4, 0, 0}, false},
		"NOPs":                   {[]byte{1, 1, 1, 0}, false},
		"loose source route":     {[]byte{131, 7, 8, 10, 9, 0, 50}, true},
		"strict source route":    {[]byte{1, 137, 7, 4, 10, 9, 0, 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			before := w.s.Counters().SourceRouted.Load()
			w.inject(withOptions(syn, c.options...))
			if c.drop {
				w.nothing()
			} else if seg, _ := w.nextTCP(); seg.Flags != wire.RST|wire.ACK || seg.Ack != 9 {
				t.Errorf("answer %v", &seg)
			}
			if n := w.s.Counters().SourceRouted.Load() - before; (n == 1) != c.drop {
				t.Errorf("%d source routes counted", n)
			}
		})
	}
}

// RFC 9293 §3.9.2.3: a SYN to a broadcast or multicast address is dropped in
// silence (MUST-57), and so is one from an address that cannot be the other end
// (MUST-63; RFC 1122 §3.2.1.3), with a listener on every address.
func TestMartians(t *testing.T) {
	w := newWire(t, stack.Options{})
	for _, a := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		l, err := w.s.ListenTCP(netip.AddrPortFrom(a, 81))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	for _, c := range []struct{ name, from, to string }{
		{"to limited broadcast", "10.9.0.2", "255.255.255.255"},
		{"to broadcast of the network", "10.9.0.2", "10.9.0.255"},
		{"to multicast", "10.9.0.2", "224.0.0.1"},
		{"to multicast of IPv6", "fd09::2", "ff02::1"},
		{"to loopback", "10.9.0.2", "127.0.0.1"},
		{"to another host", "10.9.0.2", "10.9.0.77"},
		{"from limited broadcast", "255.255.255.255", "10.9.0.1"},
		{"from broadcast of the network", "10.9.0.255", "10.9.0.1"},
		{"from multicast", "224.0.0.9", "10.9.0.1"},
		{"from multicast of IPv6", "ff02::1", "fd09::1"},
		{"from nobody", "0.0.0.0", "10.9.0.1"},
		{"from nobody of IPv6", "::", "fd09::1"},
		{"from loopback", "127.0.0.1", "10.9.0.1"},
		{"from loopback of IPv6", "::1", "fd09::1"},
		{"from a mapped address", "::ffff:10.9.0.2", "fd09::1"},
		{"from our own address", "10.9.0.1", "10.9.0.1"},
		{"from our own address of IPv6", "fd09::1", "fd09::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			from := netip.AddrPortFrom(netip.MustParseAddr(c.from), 5000)
			to := netip.AddrPortFrom(netip.MustParseAddr(c.to), 81)
			syn := tcpBytes(from, to, wire.Segment{Flags: wire.SYN, Seq: 1, Window: 1000}, "")
			w.inject(packet(from.Addr(), to.Addr(), 6, 0, syn))
			w.nothing()
			if from.Addr().Is4() { // by the way of packets with options
				w.inject(withOptions(packet(from.Addr(), to.Addr(), 6, 0, syn), 1, 1, 1, 0))
				w.nothing()
			}
		})
	}
	if n := w.s.Counters().Martians.Load(); n < 17 {
		t.Errorf("%d martians counted", n)
	}
	w.injectTCP(peer4, netip.AddrPortFrom(addrA4, 81), wire.Segment{Flags: wire.SYN, Seq: 1, Window: 1000}, "")
	if seg, _ := w.nextTCP(); seg.Flags != wire.SYN|wire.ACK {
		t.Errorf("a proper SYN is answered by %v", &seg)
	}
}

// RFC 9293 §3.9.1.1 (MUST-46): opening to what cannot be the other end fails at
// once, here.
func TestDialInvalid(t *testing.T) {
	w := newWire(t, stack.Options{})
	for _, a := range []string{"255.255.255.255", "10.9.0.255", "224.0.0.1", "0.0.0.0", "127.0.0.1",
		"::", "ff02::1", "ff0e::1", "::1"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(a), 80)
		if c, err := w.s.DialTCP(quick(t), netip.AddrPort{}, to); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("%s: %v, %v", a, c, err)
		}
	}
	w.nothing()
}

// ipOf returns TTL and traffic class of a packet.
func ipOf(p []byte) (ttl, tos byte) {
	if p[0]>>4 == 4 {
		return p[8], p[1]
	}
	return p[7], p[0]<<4 | p[1]>>4
}

// RFC 9293 §3.9.1.9: the DSCP is the application's to set (MUST-48) and to
// change (SHLD-21), and goes out unchanged beside the ECN field (SHLD-22);
// RFC 9293 §3.9.2: so is the TTL (MUST-49); RFC 1122 §4.2.4.4.
func TestTrafficClassAndTTL(t *testing.T) {
	for _, peer := range []netip.AddrPort{peer4, peer6} {
		w := newWire(t, stack.Options{Tuning: tcp.Tuning{DSCP: 10, TTL: 33}})
		done := make(chan *stack.Conn)
		go func() {
			c, err := w.s.DialTCP(quick(t), netip.AddrPort{}, peer)
			if err != nil {
				t.Error(err)
			}
			done <- c
		}()
		is := func(what string, ttl, dscp byte) (seg wire.Segment) {
			t.Helper()
			p := w.next()
			gotTTL, tos := ipOf(p)
			if gotTTL != ttl || tos>>2 != dscp || ecn.FromTOS(tos) != ecn.NotECT {
				t.Errorf("%s: TTL %d, traffic class %#x, want %d and DSCP %d", what, gotTTL, tos, ttl, dscp)
			}
			seg, _ = w.parsed(p)
			return seg
		}
		syn := is("SYN", 33, 10)
		local := netip.AddrPortFrom(addrA4, syn.SrcPort)
		if peer.Addr().Is6() {
			local = netip.AddrPortFrom(addrA6, syn.SrcPort)
		}
		w.injectTCP(peer, local, wire.Segment{Flags: wire.SYN | wire.ACK, Seq: 1000, Ack: syn.Seq + 1, Window: 65535}, "")
		c := <-done
		is("ACK", 33, 10)
		if err := errors.Join(c.SetDSCP(46), c.SetTTL(7)); err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("x"))
		is("data", 7, 46)
		if err := errors.Join(c.SetDSCP(0), c.SetTTL(0)); err != nil {
			t.Fatal(err)
		}
		c.Abort()
		is("RST", 64, 0)
	}
}

// RFC 9293 §3.9.2.2: which ICMP errors do what. An error about a segment that is
// not in flight does nothing (MUST-54, RFC 5927 §4.1), a source quench neither
// (MUST-55). None ends a connection that is established (MUST-56; SHLD-26 only
// before), but the application can learn of it (SHLD-25; RFC 9293 §3.9.1.8,
// MUST-47). During the handshake, codes 2 and 3 end it (RFC 1122 §4.2.3.9).
func TestICMPErrors(t *testing.T) {
	for _, c := range []struct {
		name      string
		peer      netip.AddrPort
		typ, code byte
		want      error // what it means; nil: nothing
		hard      bool
	}{
		{"network unreachable", peer4, 3, 0, syscall.ENETUNREACH, false},
		{"host unreachable", peer4, 3, 1, syscall.EHOSTUNREACH, false},
		{"protocol unreachable", peer4, 3, 2, syscall.ENOPROTOOPT, true},
		{"port unreachable", peer4, 3, 3, syscall.ECONNREFUSED, true},
		{"source route failed", peer4, 3, 5, syscall.EHOSTUNREACH, false},
		{"source quench", peer4, 4, 0, nil, false},
		{"time exceeded", peer4, 11, 0, syscall.EHOSTUNREACH, false},
		{"parameter problem", peer4, 12, 0, syscall.EHOSTUNREACH, false},
		{"no route, IPv6", peer6, 1, 0, syscall.ENETUNREACH, false},
		{"address unreachable, IPv6", peer6, 1, 3, syscall.EHOSTUNREACH, false},
		{"port unreachable, IPv6", peer6, 1, 4, syscall.ECONNREFUSED, true},
		{"hop limit exceeded, IPv6", peer6, 3, 0, syscall.EHOSTUNREACH, false},
		{"parameter problem, IPv6", peer6, 4, 1, syscall.EPROTO, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, stack.Options{})
			router := netip.MustParseAddr("10.9.0.50")
			if c.peer.Addr().Is6() {
				router = netip.MustParseAddr("fd09::50")
			}
			conn, local, _, next := w.establish(c.peer)
			conn.Write([]byte("hello"))
			sent := w.next()
			old := next
			old.Seq -= 100
			old.SrcPort, old.DstPort = local.Port(), c.peer.Port()
			w.inject(icmpError(router, c.typ, c.code, 0,
				packet(local.Addr(), c.peer.Addr(), 6, 0, tcpBytes(local, c.peer, old, ""))))
			time.Sleep(time.Millisecond)
			if err := conn.Info().SoftError; err != nil {
				t.Errorf("an error about what is not in flight is believed: %v", err)
			}
			w.inject(icmpError(router, c.typ, c.code, 0, sent))
			deadline := time.Now().Add(10 * time.Second)
			for conn.Info().SoftError == nil && c.want != nil && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			if c.want == nil {
				time.Sleep(5 * time.Millisecond)
			}
			i := conn.Info()
			if !errors.Is(i.SoftError, c.want) || i.State != tcp.Estab {
				t.Errorf("established: %v in %v, want %v", i.SoftError, i.State, c.want)
			}
			if conn.SetSoftErrors(false); conn.Info().SoftError != nil {
				t.Error("still told of it")
			}
			conn.Abort()
			if c.hard {
				hardDuringHandshake(t, c.peer, router, c.typ, c.code, c.want)
			}
		})
	}
}

func hardDuringHandshake(t *testing.T, peer netip.AddrPort, router netip.Addr, typ, code byte, want error) {
	w := newWire(t, stack.Options{})
	done := make(chan error)
	go func() {
		_, err := w.s.DialTCP(quick(t), netip.AddrPort{}, peer)
		done <- err
	}()
	w.inject(icmpError(router, typ, code, 0, w.next()))
	if err := <-done; !errors.Is(err, want) {
		t.Errorf("Dial = %v, want %v", err, want)
	}
}

// RFC 9293 §3.9.1.1: a passive open leaves connections of its port alone
// (MUST-41), also those that are just being opened from it (MUST-42); the local
// address is the caller's to give (MUST-43), and that of a connection is on all
// its segments (MUST-45).
func TestListenBesideConnections(t *testing.T) {
	w := newWire(t, stack.Options{})
	port := netip.AddrPortFrom(addrA4, 4000)
	done := make(chan error)
	var c *stack.Conn
	go func() {
		var err error
		c, err = w.s.DialTCP(quick(t), port, peer4)
		done <- err
	}()
	from := func() (seg wire.Segment) {
		t.Helper()
		p := w.next()
		if src := netip.AddrFrom4([4]byte(p[12:16])); src != addrA4 {
			t.Errorf("sent from %v", src)
		}
		seg, _ = w.parsed(p)
		return seg
	}
	syn := from()
	if syn.SrcPort != 4000 {
		t.Fatalf("port %d", syn.SrcPort)
	}
	l, err := w.s.ListenTCP(port) // while it is in SYN-SENT
	if err != nil {
		t.Fatal(err)
	}
	other := netip.AddrPortFrom(addrB4, 81)
	w.injectTCP(other, port, wire.Segment{Flags: wire.SYN, Seq: 70, Window: 1000}, "")
	synack := from() // and this one in SYN-RECEIVED
	l.Close()
	if seg := from(); !seg.Flags.Has(wire.RST) { // what was not accepted
		t.Errorf("sent %v", &seg)
	}
	if l, err = w.s.ListenTCP(port); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.injectTCP(other, port, wire.Segment{Flags: wire.SYN, Seq: 170, Window: 1000}, "")
	if synack = from(); synack.Ack != 171 {
		t.Errorf("sent %v", &synack)
	}
	w.injectTCP(peer4, port, wire.Segment{Flags: wire.SYN | wire.ACK, Seq: 1000, Ack: syn.Seq + 1, Window: 65535}, "")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	from()
	w.injectTCP(other, port, wire.Segment{Flags: wire.ACK, Seq: 171, Ack: synack.Seq + 1, Window: 1000}, "")
	if s, err := l.Accept(); err != nil || s.RemoteAddr().String() != other.String() {
		t.Errorf("accepted %v, %v", s, err)
	}
	c.Write([]byte("still there"))
	if seg := from(); seg.Len() != 11 || seg.DstPort != 80 {
		t.Errorf("sent %v", &seg)
	}
}

// RFC 9293 §3.9.1.1 (MUST-44): without a local address the stack chooses one, of
// the family and nearest to where it goes; RFC 1122 §3.3.4: in the strong host
// model an answer comes from the address that was asked, by the link it is on,
// and what asks another link for it gets none.
func TestMultihomed(t *testing.T) {
	w := newWire(t, stack.Options{})
	second := newWireOn(t, w.s, netip.MustParsePrefix("10.77.0.1/24"))
	for to, want := range map[*wireEnd]string{w: "10.9.0.2", second: "10.77.0.2"} {
		dst := netip.AddrPortFrom(netip.MustParseAddr(want), 80)
		dial := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			w.s.DialTCPVia(ctx, to.id, netip.AddrPort{}, dst)
			close(dial)
		}()
		p := to.next()
		local := netip.AddrFrom4([4]byte(p[12:16]))
		if prefix, _ := local.Prefix(24); !prefix.Contains(dst.Addr()) {
			t.Errorf("to %v from %v", dst, local)
		}
		cancel()
		<-dial
		drain(to)
	}
	// The caller's choice (MUST-43) goes before; it has to be an address of ours.
	second.s.AddAddr(second.id, netip.MustParsePrefix("10.77.0.129/32"))
	own := netip.MustParseAddrPort("10.77.0.129:0")
	ctx, cancel := context.WithCancel(t.Context())
	dialed := make(chan struct{})
	go func() {
		w.s.DialTCP(ctx, own, netip.MustParseAddrPort("10.77.0.2:80"))
		close(dialed)
	}()
	if p := second.next(); netip.AddrFrom4([4]byte(p[12:16])) != own.Addr() {
		t.Errorf("asked for %v: % x", own, p)
	}
	cancel()
	<-dialed
	drain(second)
	if _, err := w.s.DialTCP(quick(t), netip.MustParseAddrPort("10.77.0.130:0"), peer4); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("from an address of somebody else: %v", err)
	}
	asked := netip.MustParseAddrPort("10.77.0.1:81")
	w.injectTCP(peer4, asked, wire.Segment{Flags: wire.SYN, Seq: 1}, "")
	w.nothing()
	stranger := netip.MustParseAddrPort("10.9.0.2:9")
	second.injectTCP(stranger, asked, wire.Segment{Flags: wire.SYN, Seq: 1}, "")
	p := second.next()
	if src := netip.AddrFrom4([4]byte(p[12:16])); src != asked.Addr() {
		t.Errorf("answered from %v", src)
	}
}

// RFC 9293 §3.8.4 (MUST-24, MUST-27): keep-alive is switched and set per
// connection; (MUST-28) it waits for two hours unless told otherwise.
func TestKeepAliveDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
		nc, _ := p.connect(t, addrB4)
		c := nc.(*stack.Conn)
		sent := func(d time.Duration) uint64 {
			n := c.Info().SegsSent
			time.Sleep(d)
			return c.Info().SegsSent - n
		}
		if n := sent(24 * time.Hour); n != 0 {
			t.Errorf("off: %d segments in a day", n)
		}
		for _, on := range []error{c.SetKeepAlive(false), c.SetKeepAlive(true)} {
			if on != nil {
				t.Fatal(on)
			}
		}
		sent(time.Second) // silent since a day: it asks at once
		if n := sent(2*time.Hour - 2*time.Second); n != 0 {
			t.Errorf("%d probes in less than two hours", n)
		}
		if n := sent(3 * time.Second); n != 1 {
			t.Errorf("%d probes at two hours, want 1", n)
		}
		c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: time.Second, Count: 3})
		sent(time.Minute)
		if n := sent(time.Hour); n < 55 || n > 61 {
			t.Errorf("%d probes in an hour, want 60", n)
		}
		p.a.Close()
		p.b.Close()
	})
}

// RFC 9293 §3.8.3 (MUST-20): silence of the peer is told to who watches links.
func TestPathsDoubted(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		c, _ := p.connect(t, addrB4)
		p.b.SetLinkState(p.lb, false)
		c.Write([]byte("x"))
		time.Sleep(time.Minute)
		if n := p.a.Counters().PathsDoubted.Load(); n != 1 || !c.(*stack.Conn).Info().Doubtful {
			t.Errorf("doubted %d times, doubtful %v", n, c.(*stack.Conn).Info().Doubtful)
		}
	})
}

// RFC 9293 §3.8.5 (MUST-30, MUST-33): urgent data from one application to the
// other, read in line (RFC 6093 §5).
func TestUrgentData(t *testing.T) {
	inBubble(t, tuntest.PipeOptions{}, func(t *testing.T, p *pair) {
		a, b := p.connect(t, addrB4)
		c, s := a.(*stack.Conn), b.(*stack.Conn)
		c.Write([]byte("hello "))
		if n, err := c.WriteUrgent([]byte("now")); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		c.Write([]byte(" and then"))
		time.Sleep(time.Second)
		if n := s.Urgent(); n != 9 {
			t.Errorf("%d urgent bytes, want 9", n)
		}
		buf := make([]byte, 100)
		if n, err := io.ReadFull(s, buf[:18]); string(buf[:n]) != "hello now and then" || s.Urgent() != 0 {
			t.Errorf("read %q, %v, %d urgent bytes left", buf[:n], err, s.Urgent())
		}
	})
}
