package stack_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/wire"
)

// icmpError builds an ICMP error from router about a packet.
func icmpError(router netip.Addr, typ, code byte, info uint32, about []byte) []byte {
	to, ok := netip.AddrFromSlice(about[12:16])
	proto := byte(1)
	if about[0]>>4 == 6 {
		to, ok = netip.AddrFromSlice(about[8:24])
		proto = 58
	}
	if !ok {
		panic("no address")
	}
	b := make([]byte, 8, 100)
	b[0], b[1] = typ, code
	binary.BigEndian.PutUint32(b[4:], info)
	b = append(b, about[:min(len(about), 60)]...)
	p := packet(router, to, proto, 0, b)
	msg := p[len(p)-len(b):]
	sum := uint16(0)
	if proto == 58 {
		var pseudo [40]byte
		copy(pseudo[:], p[8:40])
		binary.BigEndian.PutUint32(pseudo[32:], uint32(len(b)))
		pseudo[39] = 58
		sum = wire.Sum(pseudo[:], 0, false)
	}
	binary.BigEndian.PutUint16(msg[2:], ^wire.Sum(msg, sum, false))
	return p
}

// The path MTU of an ICMP error about a segment in flight bounds segments from
// then on, also of later connections to that host (RFC 1191, RFC 8201).
func TestPathMTU(t *testing.T) {
	for name, c := range map[string]struct {
		peer      netip.AddrPort
		router    netip.Addr
		typ, code byte
		header    int
	}{
		"IPv4": {peer4, netip.MustParseAddr("10.9.0.50"), 3, 4, 20},
		"IPv6": {peer6, netip.MustParseAddr("fd09::50"), 2, 0, 40},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, stack.Options{})
			conn, _, _, _ := w.establish(c.peer)
			conn.SetNoDelay(true)
			if _, err := conn.Write(pattern(3000)); err != nil {
				t.Fatal(err)
			}
			big := w.next()
			if len(big) < 1490 {
				t.Fatalf("first packet has %d bytes", len(big))
			}
			first := binary.BigEndian.Uint32(big[c.header+4:])
			w.inject(icmpError(c.router, c.typ, c.code, 1300, big))
			for {
				if seg, n := w.nextTCP(); uint32(seg.Seq) == first && n <= 1300 {
					break
				}
			}
			if n := w.s.Counters().PathErrors.Load(); n != 1 {
				t.Errorf("%d path errors counted", n)
			}
			conn.Abort()
			drain(w)
			conn, _, _, _ = w.establish(c.peer)
			conn.Write(pattern(3000))
			if _, n := w.nextTCP(); n > 1300 || n < 1290 {
				t.Errorf("a later connection starts with %d bytes", n)
			}
		})
	}
}

func drain(w *wireEnd) {
	for {
		select {
		case <-w.recv:
		case <-time.After(20 * time.Millisecond):
			return
		}
	}
}

// ICMP errors that do not belong to a connection, or were damaged, count as
// such and nothing else happens.
// RFC 9293 §3.9.2.2 (MUST-54).
func TestStrayPathErrors(t *testing.T) {
	w := newWire(t, stack.Options{})
	conn, local, _, next := w.establish(peer4)
	router := netip.MustParseAddr("10.9.0.50")
	about := packet(local.Addr(), peer4.Addr(), 6, 0, tcpBytes(local, peer4, next, ""))
	other := packet(local.Addr(), peer4.Addr(), 6, 0, tcpBytes(netip.AddrPortFrom(local.Addr(), 1), peer4, next, ""))
	w.inject(icmpError(router, 3, 3, 0, other))
	w.nothing()
	if n := w.s.Counters().StrayPathErrors.Load(); n != 1 {
		t.Errorf("%d stray errors counted, want 1", n)
	}
	w.inject(flip(icmpError(router, 3, 3, 0, about), 24))
	w.nothing()
	if n := w.s.Counters().PathErrors.Load(); n != 0 {
		t.Errorf("a damaged ICMP error reached the connection")
	}
	conn.Abort()
}

// RFC 1122 §4.2.3.9: a port unreachable during the handshake ends it.
func TestPortUnreachableRefuses(t *testing.T) {
	w := newWire(t, stack.Options{})
	done := make(chan error)
	go func() {
		_, err := w.s.DialTCP(quick(t), netip.AddrPort{}, peer4)
		done <- err
	}()
	w.inject(icmpError(peer4.Addr(), 3, 3, 0, w.next()))
	if err := <-done; !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("Dial = %v, want ECONNREFUSED", err)
	}
}

// RFC 5927 §4.1: an ICMP error that quotes a sequence number which is not in
// flight is a forgery and has no effect.
// RFC 9293 §3.9.2.2 (MUST-54).
func TestForgedPathMTU(t *testing.T) {
	w := newWire(t, stack.Options{})
	conn, local, _, next := w.establish(peer4)
	forged := next
	forged.Seq += 1 << 20
	w.inject(icmpError(netip.MustParseAddr("10.9.0.50"), 3, 4, 600,
		packet(local.Addr(), peer4.Addr(), 6, 0, tcpBytes(local, peer4, forged, ""))))
	w.nothing()
	for range 2 {
		conn.Write(pattern(3000))
		if _, n := w.nextTCP(); n < 1400 {
			t.Errorf("the first segment has %d bytes", n)
		}
		conn.Abort()
		drain(w)
		// RFC 5927 §7: nor do later connections believe it.
		conn, _, _, _ = w.establish(peer4)
	}
	conn.Abort()
}
