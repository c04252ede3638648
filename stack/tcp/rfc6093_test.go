package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
	"github.com/sennit-net/sennit/stack/wire"
)

// urgents takes the events of urgent data since the last call.
func urgents(p *tcptest.Peer) (all []tcp.UrgentData) {
	for _, e := range p.Events {
		if u, ok := e.(tcp.UrgentData); ok {
			all = append(all, u)
		}
	}
	p.Events = nil
	return all
}

// RFC 9293 §3.8.5: the urgent pointer of what is sent (MUST-30) points to the
// octet after the last urgent one (MUST-62), on every segment until that is
// passed, retransmissions included.
func TestSendUrgent(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay, noProbe)
	p.Write(10)
	p.Expect("PA 1+10 ack 1 no-urg")
	p.Stream.Urge(p.Now, 3)
	p.Write(3)
	p.Expect("PAU 11+3 ack 1 urg 3")
	p.Write(10)
	p.Expect("PA 14+10 ack 1 no-urg")
	p.Pass(p.Conn.Info().RTO)
	p.Expect("AU 1+10 ack 1 urg 13")
	p.Send("A 1 ack 11 win 512")
	p.Drain()
	p.Send("A 1 ack 24 win 512")
	p.Write(10)
	p.Expect("PA 24+10 ack 1 no-urg")
	p.Send("A 1 ack 34 win 512")
	// While the peer's window is closed, an ACK tells (RFC 9293 §3.4).
	p.Send("A 1 ack 34 win 0")
	p.Stream.Urge(p.Now, 20)
	p.Write(20)
	p.Expect("AU 34 ack 1 urg 20")
	p.Send("A 1 ack 34 win 512")
	p.Expect("PAU 34+20 ack 1 urg 20")
	p.Send("A 1 ack 54 win 512")
}

// RFC 9293 §3.8.5 (MUST-31): urgent data may be of any length: beyond what the
// pointer can say, each segment points as far as it can. Super-segments do not
// carry it.
func TestSendUrgentOfAnyLength(t *testing.T) {
	const size = 200000
	p := tcptest.Established(t, tcptest.NoTimestamps, func(c *tcp.Config) { c.MaxSuper, c.SendBuffer = 65000, 1<<20 })
	p.Stream.Urge(p.Now, size)
	p.Write(size + 10000)
	sent, marked := 0, 0
	for sent < size+10000 {
		seg := p.Take()
		if seg.Len() == 0 {
			continue
		}
		want := uint16(min(max(size-sent, 0), 65535))
		if seg.Urgent != want || seg.Flags.Has(wire.URG) != (want > 0) {
			t.Fatalf("at %d: flags %v, urgent pointer %d, want %d", sent, seg.Flags, seg.Urgent, want)
		}
		if want > 0 {
			if marked++; seg.Len() > 1460 {
				t.Fatalf("a super-segment of %d bytes is urgent", seg.Len())
			}
		}
		if sent += seg.Len(); p.Waiting() == 0 {
			p.Send("A 1 ack " + itoa(1+sent) + " win 512")
		}
	}
	if marked < size/1460 {
		t.Errorf("%d segments were marked", marked)
	}
}

// RFC 9293 §3.8.5: the application hears when urgent data is announced and when
// its end moves on (MUST-32), and can ask how much of it is still to be read
// (MUST-33), be it ever so long (MUST-31). RFC 9293 §3.10.7.4, sixth check:
// RCV.UP is the largest seen; the same pointer again is no news. RFC 6093 §3.1:
// the bytes come in line.
func TestReceiveUrgent(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Events = nil
	is := func(want int) {
		t.Helper()
		if n := p.Stream.Urgent(); n != want {
			t.Errorf("%d urgent bytes to be read, want %d", n, want)
		}
	}
	p.Send("AU 1+10 ack 1 win 512 urg 3")
	if got := urgents(p); len(got) != 1 || got[0].End != 3 {
		t.Errorf("told %+v", got)
	}
	is(3)
	p.Read(2)
	is(1)
	p.Read(8)
	is(0)
	// Announced before it arrives, and beyond 64 KiB piece by piece.
	p.Send("AU 11 ack 1 win 512 urg 65535")
	is(65535)
	p.Send("AU 11+100 ack 1 win 512 urg 65535")
	p.Send("AU 11 ack 1 win 512 urg 20") // old
	is(65535)
	p.Send("AU 111+100 ack 1 win 512 urg 65535")
	is(65635)
	if got := urgents(p); len(got) != 2 || got[0].End != 10+65535 || got[1].End != 110+65535 {
		t.Errorf("told %+v", got)
	}
	p.Read(200)
	is(65435)
	p.Pass(40 * time.Millisecond)
	p.Drain()
	// A pointer without the flag, or to nothing, means nothing.
	p = tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 1+10 ack 1 win 512 urg 3")
	p.Send("AU 11+10 ack 1 win 512 urg 0")
	is(0)
	p.Read(20)
	p.Drain()
}

// RFC 6093 §3.2: a peer that points at the last urgent octet instead of the one
// after it is understood up to that octet, which comes in line with the rest.
func TestUrgentPointerOfBSD(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("AU 1+5 ack 1 win 512 urg 4")
	if n := p.Stream.Urgent(); n != 4 {
		t.Errorf("%d urgent bytes", n)
	}
	p.Read(5)
	p.Send("AU 6+1 ack 1 win 512 urg 0")
	p.Read(1)
	p.Drain()
}

// RFC 9293 §3.4 (MUST-66) and RFC 9293 §3.10.7.4: URG is processed though the
// receive window is closed.
func TestUrgentWithClosedWindow(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 1000, NoTimestamps: true, NoWindowScale: true}))
	p.Send("A 1+1000 ack 1 win 65535")
	p.After(40*time.Millisecond, "A 1 ack 1001 win 0")
	p.Send("AU 1001+5 ack 1 win 65535 urg 5")
	p.Expect("A 1 ack 1001 win 0")
	if n := p.Stream.Urgent(); n != 1005 {
		t.Errorf("%d bytes up to the end of urgent data, want 1005", n)
	}
}
