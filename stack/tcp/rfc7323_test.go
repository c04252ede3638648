package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 7323 §2.2, RFC 7323 §2.3: scaling only if both SYNs have the option; a count above
// 14 is taken for 14; the window of a SYN is not scaled.
func TestWindowScale(t *testing.T) {
	for _, c := range []struct {
		synack string
		shift  int
		first  int // the peer's window right after
	}{
		{"SA 0 ack 1 win 100 mss 1460", 0, 100},
		{"SA 0 ack 1 win 100 mss 1460 ws 0", 0, 100},
		{"SA 0 ack 1 win 100 mss 1460 ws 3", 3, 100},
		{"SA 0 ack 1 win 100 mss 1460 ws 14", 14, 100},
		{"SA 0 ack 1 win 100 mss 1460 ws 15", 14, 100},
		{"SA 0 ack 1 win 100 mss 1460 ws 127", 14, 100},
	} {
		p := tcptest.SynSent(t, tcptest.NoTimestamps)
		p.Send(c.synack)
		p.Expect("A 1 ack 1")
		if w := p.Conn.Info().SndWnd; w != c.first {
			t.Errorf("%s: window %d, want %d", c.synack, w, c.first)
		}
		p.Send("A 1 ack 1 win 100")
		if w := p.Conn.Info().SndWnd; w != 100<<c.shift {
			t.Errorf("%s: window %d, want %d", c.synack, w, 100<<c.shift)
		}
	}
	// §2.2: not on the SYN-ACK unless it was on the SYN.
	p := tcptest.Listening(t)
	p.Send("S 0 win 1000 mss 1460")
	p.Expect("SA 0 ack 1 no-ws no-sackok no-ts mss 1460")
	// §2.2: an option that is off is not offered.
	p = tcptest.SynSent(t, tcptest.Simple)
	p.Send("SA 0 ack 1 win 100 mss 1460 ws 7 sackok ts 1/0")
	p.Expect("A 1 ack 1 win 65535 no-ts")
	if w := p.Conn.Info().SndWnd; w != 100 {
		t.Errorf("window %d, want 100", w)
	}
}

// RFC 7323 §2.3: the count comes from the largest window we would ever offer; it
// is said even if it is 0 (RFC 7323 §2.2).
func TestScaleChoice(t *testing.T) {
	for most, ws := range map[int]string{65535: "ws 0", 65536: "ws 1", 6 << 20: "ws 7", 1 << 30: "ws 14"} {
		p := tcptest.New(t, tcptest.Tuned(tcp.Tuning{MaxWindow: most}))
		p.Conn.Open(p.Now)
		p.Expect("S 0 win 65535 " + ws)
	}
}

func stamped(t *testing.T, opts ...tcptest.Option) *tcptest.Peer {
	t.Helper()
	p := tcptest.SynSent(t, opts...)
	p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ts 100/3600000 ws 7")
	p.Expect("A 1 ack 1 ts 3600000/100")
	return p
}

// RFC 7323 §3.2: on every segment once agreed; a segment without is dropped in
// silence.
func TestTimestampsOnEverySegment(t *testing.T) {
	p := stamped(t)
	p.Events = nil
	p.Send("A 1+10 ack 1 win 512")
	p.Nothing()
	rejectedFor(t, p, tcp.NoTimestamp)
	p.Write(10)
	p.Expect("PA 1+10 ack 1 ts 3600000/100")
	p.Send("A 1 ack 11 win 512 ts 101/3600000")
	p.Abort()
	p.Expect("RA 11 ack 1 ts 3600000/101") // §5.2
	// A RST needs none.
	p = stamped(t)
	p.Send("R 1")
	p.Ended(tcp.ErrReset)
	// Not agreed, not heeded.
	p = tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 1+10 ack 1 win 512 ts 5/6")
	p.Read(10)
	p.After(40*time.Millisecond, "A 1 ack 11 no-ts")
}

// RFC 7323 §3.2: agreed is what both SYN and SYN-ACK contained. The first ACK
// after our SYN-ACK tells whether its timestamp arrived; where a middlebox took
// it out, the connection goes on without. A segment out of window tells nothing.
func TestTimestampsTakenFromSYNACK(t *testing.T) {
	p := tcptest.Listening(t)
	p.Send("S 0 win 65535 mss 1460 sackok ts 100/0 ws 7")
	p.Expect("SA 0 ack 1 ts 3600000/100")
	p.Events = nil
	p.Send("A 900001 ack 1 win 512")
	rejectedFor(t, p, tcp.NoTimestamp)
	p.Send("A 1+10 ack 1 win 512")
	p.Is(tcp.Estab)
	p.Read(10)
	p.After(40*time.Millisecond, "A 1 ack 11 no-ts")
	p.Write(1460) // the room is the payload's again
	p.Expect("PA 1+1460 ack 11 no-ts")
}

// RFC 7323 §5.3: PAWS; RFC 7323 §5.2: not for a RST.
func TestPAWS(t *testing.T) {
	p := stamped(t)
	p.Events = nil
	p.Send("A 1+10 ack 1 win 512 ts 99/3600000")
	p.Expect("A 1 ack 1 ts 3600000/100")
	rejectedFor(t, p, tcp.OldTimestamp)
	p.Send("A 1+10 ack 1 win 512 ts 100/3600000") // equal will do
	p.Read(10)
	p.Pass(40 * time.Millisecond)
	p.Drain()
	p.Send("A 11+10 ack 1 win 512 ts 2147483747/3600000") // 2^31-1 later
	p.Read(10)
	p.Pass(40 * time.Millisecond)
	p.Drain()
	p.Send("A 21+10 ack 1 win 512 ts 2147483748/3600000")
	p.Read(10)
	p.Drain()
	p.Send("R 31 ts 5/0")
	p.Ended(tcp.ErrReset)
}

// RFC 7323 §5.5: TS.Recent is good for 24 days.
func TestPAWSAfterLongIdle(t *testing.T) {
	p := stamped(t)
	p.Pass(23 * 24 * time.Hour)
	p.Send("A 1+10 ack 1 win 512 ts 50/3600000")
	p.Expect("A 1 ack 1")
	p.Pass(2 * 24 * time.Hour)
	p.Send("A 1+10 ack 1 win 512 ts 50/3600000")
	p.Read(10)
	p.After(40*time.Millisecond, "A 1 ack 11 ts "+itoa(int(uint32(3600000+25*24*3600*1000+40)))+"/50")
}

// RFC 7323 §4.3: which timestamp is echoed: the earliest not acknowledged, and
// not that of a segment before its turn.
func TestEcho(t *testing.T) {
	p := stamped(t)
	p.Send("A 1+10 ack 1 win 512 ts 110/3600000")
	p.Pass(10 * time.Millisecond)
	p.Send("A 11+10 ack 1 win 512 ts 120/3600000")
	// Delayed ACK: the first of the two.
	p.Expect("A 1 ack 21 ts 3600010/110")
	p.Send("A 31+10 ack 1 win 512 ts 130/3600000") // early
	p.Expect("A 1 ack 21 ts 3600010/110 sack 31-41")
	p.Send("A 21+10 ack 1 win 512 ts 140/3600000") // fills the hole
	p.Expect("A 1 ack 41 ts 3600010/140")
	p.Read(40)
}

// RFC 7323 §4.1, RFC 6298 §3: Karn's rule, and the echo that tells the
// transmissions apart.
func TestSampleOfRetransmission(t *testing.T) {
	p := stamped(t)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	rto := p.Conn.Info().RTO
	probe := 50*time.Millisecond + 2*time.Microsecond
	p.After(probe, "PA 1+100 ack 1") // tail probe
	p.After(rto, "PA 1+100 ack 1")
	sent := 3600000 + int((probe+rto)/time.Millisecond)
	p.Pass(30 * time.Millisecond)
	p.Send("A 1 ack 101 win 512 ts 130/" + itoa(sent))
	if s := p.Conn.Info().SRTT; s < 3*time.Millisecond || s > 31*time.Millisecond {
		t.Errorf("SRTT %v: not from a sample of 30ms", s)
	}
	if p.Conn.Backoffs() != 0 || p.Conn.Info().RTO > time.Second {
		t.Errorf("RTO %v stayed backed off", p.Conn.Info().RTO)
	}
	// Without timestamps there is no telling, and no sample.
	p = tcptest.Established(t, tcptest.NoTimestamps)
	was := p.Conn.Info().SRTT
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.Pass(5 * time.Second)
	p.Drain()
	p.Send("A 1 ack 101 win 512")
	if s := p.Conn.Info().SRTT; s != was {
		t.Errorf("SRTT changed from %v to %v", was, s)
	}
}

// RFC 7323 §7.1: the clock is moved by the offset of the connection.
func TestTimestampOffset(t *testing.T) {
	p := tcptest.New(t, func(c *tcp.Config) { c.TSOffset = 1<<32 - 3600000 + 7 })
	p.Conn.Open(p.Now)
	p.Expect("S 0 ts 7/0")
}
