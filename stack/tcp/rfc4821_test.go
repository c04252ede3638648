package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// smallPath is a path known to carry 1200 bytes on a link of 1500, as from the
// memory of earlier connections.
func smallPath(c *tcp.Config) { c.NoTimestamps, c.MTU, c.MaxMTU = true, 1200, 1500 }

// probing is a connection on smallPath in which a probe of 1500 bytes, bytes 1
// to 1460, and three segments more have just left.
func probing(t *testing.T) *tcptest.Peer {
	t.Helper()
	p := tcptest.Established(t, smallPath, tcptest.NoDelay)
	p.Pass(11 * time.Minute)
	p.Write(1460 + 3*1160 + 20)
	p.ExpectAll("A 1+1460 ack 1", "A 1461+1160 ack 1", "A 2621+1160 ack 1", "A 3781+1160 ack 1", "PA 4941+20 ack 1")
	return p
}

// RFC 8201 §4, RFC 4821 §7.3, RFC 5927 §7: what is known of a path is not tried again for
// ten minutes; RFC 8899 §3: nothing but a probe exceeds it. RFC 4821 §7.2: the
// search ends at what the link and the peer take; RFC 9293 §3.7.1 (MUST-67):
// the MSS offered is the link's.
func TestNoProbeEarly(t *testing.T) {
	p := tcptest.New(t, smallPath, tcptest.NoDelay)
	p.Conn.Open(p.Now)
	p.Expect("S 0 mss 1460")
	p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ws 7")
	p.Expect("A 1 ack 1")
	p.Pass(9*time.Minute + 59*time.Second)
	p.Write(4640)
	p.ExpectAll("A 1+1160 ack 1", "A 1161+1160 ack 1", "A 2321+1160 ack 1", "PA 3481+1160 ack 1")
	p.Send("A 1 ack 4641 win 512")
}

// RFC 4821 §7.4: no probe without the data behind it that would make its loss
// known, nor without windows for all of it.
func TestNoProbeAlone(t *testing.T) {
	p := tcptest.Established(t, smallPath, tcptest.NoDelay)
	p.Pass(11 * time.Minute)
	p.Write(3 * 1160)
	p.ExpectAll("A 1+1160 ack 1", "A 1161+1160 ack 1", "PA 2321+1160 ack 1")
	p.Send("A 1 ack 3481 win 30") // 3840 bytes
	p.Write(6000)
	p.ExpectAll("A 3481+1160 ack 1", "A 4641+1160 ack 1", "A 5801+1160 ack 1")
	p.Send("A 1 ack 6961 win 512")
	p.Drain()
	p.Send("A 1 ack 9481 win 512")
}

// RFC 4821 §7.6.1: a probe that arrives raises the path MTU; RFC 4821 §4: the window in
// bytes stays.
func TestProbeArrives(t *testing.T) {
	for _, how := range []string{"A 1 ack 1461 win 512", "A 1 ack 1 win 512 sack 1-1461"} {
		p := probing(t)
		was := p.Conn.Info().Cwnd
		p.Send(how)
		if i := p.Conn.Info(); i.MTU != 1500 || i.MSS != 1460 || i.Cwnd > was+1460 {
			t.Errorf("MTU %d MSS %d cwnd %d, was %d", i.MTU, i.MSS, i.Cwnd, was)
		}
		if !p.Happened("mtu_raised") {
			t.Error("nobody heard of it")
		}
		p.Send("A 1 ack 4961 win 512")
		p.Write(1460)
		p.Expect("PA 4961+1460 ack 1")
		p.Send("A 1 ack 6421 win 512")
	}
}

// RFC 4821 §7.6.2: the loss of a probe alone is no congestion; its bytes go
// again in segments that fit, at once. RFC 8899 §3: the next probe waits.
func TestProbeLost(t *testing.T) {
	p := probing(t)
	was := p.Conn.Info()
	p.Happened("")
	p.Send("A 1 ack 1 win 512 sack 1461-2621")
	p.Send("A 1 ack 1 win 512 sack 1461-3781")
	p.Send("A 1 ack 1 win 512 sack 1461-4941")
	p.ExpectAll("A 1+1160 ack 1", "A 1161+300 ack 1")
	if i := p.Conn.Info(); i.MTU != 1200 || i.Cwnd < was.Cwnd || i.Ssthresh != was.Ssthresh {
		t.Errorf("MTU %d cwnd %d ssthresh %d, was %+v", i.MTU, i.Cwnd, i.Ssthresh, was)
	}
	if p.Happened("recovery_entered") {
		t.Error("a lost probe was taken for congestion")
	}
	p.Send("A 1 ack 4961 win 512")
	// The next probe keeps its distance.
	p.Write(8000)
	for _, s := range p.Drain() {
		if len(s) > 8 && s[:8] == "A 4961+1" && s[:11] != "A 4961+1160" {
			t.Errorf("probed again at once: %s", s)
		}
	}
	p.Send("A 1 ack 12961 win 512")
}

// RFC 4821 §7.6.2, RFC 4821 §7.6.4: another loss beside the probe's is congestion, and
// then the probe proves nothing.
func TestProbeLostWithOthers(t *testing.T) {
	p := probing(t)
	was := p.Conn.Info()
	p.Send("A 1 ack 1 win 512 sack 2621-3781")
	p.Send("A 1 ack 1 win 512 sack 2621-4941")
	p.Send("A 1 ack 1 win 512 sack 2621-4961")
	p.Expect("A 1+1160 ack 1")
	p.Drain()
	if i := p.Conn.Info(); i.MTU != 1200 || i.Cwnd >= was.Cwnd {
		t.Errorf("MTU %d cwnd %d, was %d", i.MTU, i.Cwnd, was.Cwnd)
	}
	p.Send("A 1 ack 4961 win 512")
}

// RFC 8899 §3, RFC 8899 §4.6.2: a router that answers a probe sets the bound of the search
// and leaves what is in use alone; more than the probe's size is nonsense.
func TestProbeRefused(t *testing.T) {
	p := probing(t)
	p.Control(tcp.PacketTooBig, 1600, 1)
	p.Control(tcp.PacketTooBig, 1500, 1)
	p.Nothing()
	p.Control(tcp.PacketTooBig, 1400, 1)
	p.ExpectAll("A 1+1160 ack 1", "A 1161+300 ack 1")
	if i := p.Conn.Info(); i.MTU != 1200 {
		t.Errorf("MTU %d, want 1200", i.MTU)
	}
	p.Pass(100 * time.Millisecond)
	p.Send("A 1 ack 4961 win 512")
	p.Drain()
	p.Pass(10 * time.Second)
	p.Write(6000)
	p.Expect("A 4961+1360 ack 1") // exactly what the router said
	p.Drain()
	p.Send("A 1 ack 10961 win 512")
	if i := p.Conn.Info(); i.MTU != 1400 {
		t.Errorf("MTU %d, want 1400", i.MTU)
	}
}

// RFC 4821 §7.7, RFC 8899 §5.1.2: full segments that vanish time after time are
// too big: the base is tried. Then
// by halves, down to the floor.
func TestBlackHole(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, noProbe)
	p.Write(1460)
	p.Expect("PA 1+1460 ack 1")
	p.Pass(floor)
	p.Expect("PA 1+1460 ack 1")
	p.Pass(2 * floor)
	p.Expect("PA 1+1460 ack 1")
	p.Pass(4 * floor)
	p.Expect("A 1+1160 ack 1")
	for _, want := range []int{600, 552, 552} {
		for n := p.Conn.Info().Backoffs; p.Conn.Info().Backoffs < n+2; {
			p.Pass(floor)
		}
		if i := p.Conn.Info(); i.MTU != want {
			t.Errorf("MTU %d, want %d", i.MTU, want)
		}
	}
	p.Drain()
	p.Send("A 1 ack 1461 win 512")
	p.Drain()
}

// RFC 4821 §7.7: small segments that vanish say nothing of sizes.
func TestNoBlackHole(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, noProbe)
	p.Write(1000)
	p.Pass(2 * time.Minute)
	p.Drain()
	if i := p.Conn.Info(); i.MTU != 1500 {
		t.Errorf("MTU %d, want 1500", i.MTU)
	}
	p.Send("A 1 ack 1001 win 512")
}

// RFC 5927 §7.2: once full segments arrived, a message that they are too big is
// believed only when one is missing for long.
func TestPathMTUDoubted(t *testing.T) {
	for _, lost := range []bool{false, true} {
		p := tcptest.Established(t, tcptest.NoTimestamps, noProbe)
		p.Write(1460)
		p.Expect("PA 1+1460 ack 1")
		p.Send("A 1 ack 1461 win 512")
		p.Write(1460)
		p.Expect("PA 1461+1460 ack 1")
		p.Control(tcp.PacketTooBig, 1300, 1461)
		p.Nothing()
		if lost {
			p.Pass(floor)
			p.ExpectAll("A 1461+1260 ack 1")
			p.Send("A 1 ack 2721 win 512")
			p.Expect("PA 2721+200 ack 1")
			p.Send("A 1 ack 2921 win 512")
			continue
		}
		p.Send("A 1 ack 2921 win 512")
		p.Write(1460)
		p.Expect("PA 2921+1460 ack 1")
		p.Send("A 1 ack 4381 win 512")
	}
}

// RFC 4821 §7.8: a raise that goes wrong is taken back at the first timeout.
func TestRaiseOnTrial(t *testing.T) {
	p := probing(t)
	p.Send("A 1 ack 4961 win 512")
	if i := p.Conn.Info(); i.MTU != 1500 {
		t.Fatalf("MTU %d", i.MTU)
	}
	p.Write(1460)
	p.Expect("PA 4961+1460 ack 1")
	for p.Conn.Info().Backoffs == 0 {
		p.Pass(time.Millisecond)
	}
	if i := p.Conn.Info(); i.MTU != 1200 {
		t.Errorf("MTU %d after the first timeout, want 1200", i.MTU)
	}
	p.Drain()
	p.Send("A 1 ack 6421 win 512")
	p.Drain()
}
