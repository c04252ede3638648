package stack_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// from is an address of an attacker's.
func from(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), 1024+uint16(i%60000))
}

// modern adds the options of a SYN as common systems send them.
func modern(s wire.Segment) wire.Segment {
	s.Options.MSS, s.SACKPermitted, s.WindowScale, s.Timestamps, s.TSVal = 1400, true, 7, true, 100
	return s
}

// busy is a listener whose table of half-open connections is full.
func busy(t *testing.T, w *wireEnd, to netip.AddrPort) *stack.Listener {
	t.Helper()
	l, err := w.s.ListenPlain(to, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		w.injectTCP(from(i), to, wire.Segment{Flags: wire.SYN, Seq: 1}, "")
		w.nextTCP()
	}
	return l
}

// RFC 4987 §3.6, appendix A: a full table of half-open connections keeps nobody
// out. The SYN-ACK keeps MSS, window scale, SACK and timestamps; nothing is
// remembered until the ACK is back, which may carry data.
func TestSYNCookie(t *testing.T) {
	w := newWire(t, stack.Options{})
	to := netip.AddrPortFrom(addrA4, 80)
	l := busy(t, w, to)
	for _, data := range []string{"", "early"} {
		me := netip.AddrPortFrom(peer4.Addr(), peer4.Port()+uint16(len(data)))
		before := w.s.Sockets()
		w.injectTCP(me, to, modern(wire.Segment{Flags: wire.SYN, Seq: 100}), "")
		a, _ := w.nextTCP()
		if a.Flags != wire.SYN|wire.ACK || a.Ack != 101 || a.WindowScale < 0 || !a.SACKPermitted || !a.Timestamps ||
			a.TSEcr != 100 || a.Options.MSS != 1460 || a.Window == 0 {
			t.Fatalf("SYN-ACK %v", &a)
		}
		if n := w.s.Sockets(); n != before {
			t.Fatalf("%d sockets, %d before: something was kept", n, before)
		}
		third := wire.Segment{Flags: wire.ACK, Seq: 101, Ack: a.Seq + 1, Window: 100}
		third.Timestamps, third.TSVal, third.TSEcr = true, 101, a.TSVal
		w.injectTCP(me, to, third, data)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		i := c.(*stack.Conn).Info()
		if i.SndShift != 7 || i.SndWnd != 100<<7 || i.RcvShift != int(a.WindowScale) || i.MSS != 1400-12 {
			t.Errorf("shift %d/%d window %d MSS %d", i.SndShift, i.RcvShift, i.SndWnd, i.MSS)
		}
		if i.SRTT < 0 || i.SRTT > time.Minute {
			t.Errorf("SRTT %v", i.SRTT)
		}
		if data != "" {
			got := make([]byte, len(data))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != data {
				t.Errorf("read %q %v", got, err)
			}
			w.nextTCP() // its ACK
		}
		c.Write([]byte("hello"))
		d, _ := w.nextTCP()
		for d.Len() == 0 {
			d, _ = w.nextTCP()
		}
		if d.Len() != 5 || !d.Timestamps || int32(d.TSVal-a.TSVal) < 0 || d.Seq != a.Seq+1 {
			t.Errorf("data %v after a cookie of %d", &d, a.TSVal)
		}
		hole := third
		hole.Seq, hole.Ack = hole.Seq+seq.Num(len(data))+10, d.Seq+5
		w.injectTCP(me, to, hole, "later")
		s, _ := w.nextTCP()
		for s.NSACK == 0 && s.Len() == 0 && s.Ack == d.Ack && !s.Flags.Has(wire.FIN) {
			s, _ = w.nextTCP()
		}
		if s.NSACK != 1 {
			t.Errorf("no SACK: %v", &s)
		}
	}
	if n := w.s.Counters().CookiesAccepted.Load(); n != 2 {
		t.Errorf("%d cookies accepted", n)
	}
}

// Without timestamps a cookie keeps the MSS and nothing else, and offers
// nothing it could not keep (RFC 4987 §3.6).
func TestSYNCookieBare(t *testing.T) {
	w := newWire(t, stack.Options{})
	to := netip.AddrPortFrom(addrA4, 80)
	l := busy(t, w, to)
	syn := modern(wire.Segment{Flags: wire.SYN, Seq: 100})
	syn.Timestamps = false
	w.injectTCP(peer4, to, syn, "")
	a, _ := w.nextTCP()
	if a.WindowScale >= 0 || a.SACKPermitted || a.Timestamps || a.Options.MSS == 0 {
		t.Fatalf("SYN-ACK %v", &a)
	}
	w.injectTCP(peer4, to, wire.Segment{Flags: wire.ACK, Seq: 101, Ack: a.Seq + 1, Window: 100}, "")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if i := c.(*stack.Conn).Info(); i.SndShift != 0 || i.RcvShift != 0 || i.SndWnd != 100 || i.MSS != 1400 {
		t.Errorf("shift %d/%d window %d MSS %d", i.SndShift, i.RcvShift, i.SndWnd, i.MSS)
	}
}

// An ACK that brings no cookie of ours is answered with a RST, as without
// cookies (RFC 9293 §3.10.7.1); so is a good one where no cookie was sent.
func TestSYNCookieForged(t *testing.T) {
	w := newWire(t, stack.Options{})
	to := netip.AddrPortFrom(addrA4, 80)
	busy(t, w, to)
	w.injectTCP(peer4, to, modern(wire.Segment{Flags: wire.SYN, Seq: 100}), "")
	a, _ := w.nextTCP()
	for _, bad := range []wire.Segment{
		{Flags: wire.ACK, Seq: 101, Ack: a.Seq + 2}, {Flags: wire.ACK, Seq: 102, Ack: a.Seq + 1},
		{Flags: wire.ACK, Seq: 101, Ack: a.Seq + 1 + 1<<27},
	} {
		w.injectTCP(peer4, to, bad, "")
		if r, _ := w.nextTCP(); r.Flags != wire.RST || r.Seq != bad.Ack {
			t.Errorf("answer %v", &r)
		}
	}
	if n := w.s.Counters().CookiesRejected.Load(); n != 3 {
		t.Errorf("%d rejected", n)
	}
	other := netip.AddrPortFrom(addrA4, 81)
	if _, err := w.s.ListenTCP(other); err != nil {
		t.Fatal(err)
	}
	w.injectTCP(peer4, other, wire.Segment{Flags: wire.ACK, Seq: 101, Ack: a.Seq + 1}, "")
	if r, _ := w.nextTCP(); r.Flags != wire.RST {
		t.Errorf("a listener that sent no cookies: %v", &r)
	}
}

// RFC 4987 §3.6: a flood of SYNs from forged addresses neither keeps others out
// nor takes memory.
func TestSYNFlood(t *testing.T) {
	flood, legitimate := 1_000_000, 2000
	if testing.Short() || raceEnabled {
		flood, legitimate = 50_000, 200
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, tuntest.PipeOptions{Delay: time.Millisecond}, stack.Options{}, stack.Options{})
		attack := attackLink(t, p.b)
		target := netip.AddrPortFrom(addrB4, 80)
		l, err := p.b.ListenPlain(target, 256)
		if err != nil {
			t.Fatal(err)
		}
		go echoAll(l)
		heap := liveHeap()

		// The table of half-open connections is filled first.
		i := 0
		send := func(n int) {
			for range n {
				syn := modern(wire.Segment{Flags: wire.SYN, Seq: seq.Num(i)})
				src := from(i)
				attack(packet(src.Addr(), addrB4, 6, 0, tcpBytes(src, target, syn, "")))
				i++
			}
		}
		send(1000)
		synctest.Wait()
		var good, done atomic.Int64
		for k := range legitimate {
			go func() {
				time.Sleep(time.Duration(k) * time.Millisecond / 2)
				if visit(p.a, target) == nil {
					good.Add(1)
				}
				done.Add(1)
			}()
		}
		step := flood / 1000
		for i < flood {
			send(step)
			time.Sleep(time.Duration(legitimate) * time.Millisecond / 2 / 1000)
		}
		if n := p.b.Counters().CookiesSent.Load(); n < uint64(flood)*9/10 {
			t.Errorf("only %d cookies sent: the flood did not arrive", n)
		}
		for done.Load() < int64(legitimate) {
			time.Sleep(time.Second)
		}
		if g := good.Load(); g*100 < int64(legitimate)*99 {
			t.Errorf("%d of %d legitimate connections succeeded", g, legitimate)
		}
		time.Sleep(2 * time.Second)
		grown := int64(liveHeap()) - int64(heap)
		t.Logf("%d SYNs: %d of %d legitimate connections, heap %+d KiB", i, good.Load(), legitimate, grown>>10)
		// 256 half-open connections and TIME-WAIT of the legitimate ones.
		if bound := int64(4 << 20); grown > bound {
			t.Errorf("the heap grew by %d bytes, bound %d", grown, bound)
		}
		l.Close()
		p.a.Close()
		p.b.Close()
	})
}

// attackLink gives s a second link and returns what puts packets on it.
func attackLink(t *testing.T, s *stack.Stack) func(p []byte) {
	near, far := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
	e, err := link.New(near, link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	attach(t, s, stack.Link{Name: "net1", Metric: 9, Endpoint: e, Addrs: []netip.Prefix{netip.PrefixFrom(addrB4, 32)}})
	go func() { // the answers go nowhere
		buf := make([]byte, tun.MaxPacket)
		for {
			var m tun.Meta
			if _, err := far.Read([][]byte{buf}, &m); err != nil {
				return
			}
		}
	}()
	return func(p []byte) {
		if err := far.Write([][]byte{p}, tun.Meta{}); err != nil {
			t.Error(err)
		}
	}
}

// visit makes a connection, lets something be echoed, and closes it.
func visit(s *stack.Stack, to netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := s.DialTCP(ctx, netip.AddrPort{}, to)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("ping")); err != nil {
		return err
	}
	buf := make([]byte, 4)
	if _, err := io.ReadFull(c, buf); err != nil {
		return err
	}
	if string(buf) != "ping" {
		return syscall.EBADMSG
	}
	return nil
}

func echoAll(l net.Listener) {
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
}

func liveHeap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
