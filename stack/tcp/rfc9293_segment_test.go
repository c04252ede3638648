package tcp_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

func rejectedFor(t *testing.T, p *tcptest.Peer, want ...tcp.Reason) {
	t.Helper()
	if got := p.Rejected(); !slices.Equal(got, want) {
		t.Fatalf("rejected for %v, want %v", got, want)
	}
}

// RFC 9293 §3.10.7.4, first check, table 6, each row. What is not acceptable is
// answered with an ACK, unless it is a RST.
// RFC 9293 §3.4, on sequence numbers that wrap.
func TestSequenceCheck(t *testing.T) {
	const window = 3000
	small := tcptest.Tuned(tcp.Tuning{MaxWindow: window, NoTimestamps: true})
	for _, c := range []struct {
		seg string
		ok  bool
		ack string
	}{
		{"A 1 ack 1 win 512", true, ""},
		{"A 3000 ack 1 win 512", true, ""},
		{"A 3001 ack 1 win 512", true, ""}, // right at the edge, see below
		{"A 3002 ack 1 win 512", false, "A 1 ack 1"},
		{"A 0 ack 1 win 512", false, "A 1 ack 1"},
		{"A -2000000 ack 1 win 512", false, "A 1 ack 1"},
		{"A 3000+1 ack 1 win 512", true, "A 1 ack 1 sack 3000-3001"},
		{"A 3001+1 ack 1 win 512", false, "A 1 ack 1 no-sack"},
		{"A -9+10 ack 1 win 512", false, "A 1 ack 1 sack -9-1"},
		{"A -9+11 ack 1 win 512", true, "A 1 ack 2 sack -9-1"},
		{"R 0 ", false, ""},
		{"R 3001", false, ""},
	} {
		p := tcptest.Established(t, small)
		p.Events = nil
		p.Send(c.seg)
		if got := p.Rejected(); (len(got) == 0) != c.ok {
			t.Errorf("%s: rejected for %v", c.seg, got)
		}
		if c.ack != "" {
			p.Expect(c.ack)
		}
		p.Nothing()
	}
}

// RFC 9293 §3.10.7.4 first check, RFC 9293 §3.8.6.1, with a closed window: only an empty segment
// at RCV.NXT, and RST, URG and valid ACKs all the same (§3.4, MUST-66).
// RFC 9293 §3.4 (MUST-66).
func TestSequenceCheckZeroWindow(t *testing.T) {
	closed := func() *tcptest.Peer {
		p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 1000, NoTimestamps: true, NoWindowScale: true}))
		p.Send("A 1+1000 ack 1 win 65535")
		p.After(40*time.Millisecond, "A 1 ack 1001 win 0")
		p.Write(10)
		p.Expect("PA 1+10 ack 1001")
		p.Events = nil
		return p
	}
	p := closed()
	p.Send("A 1001 ack 11 win 65535") // accepted
	rejectedFor(t, p)
	p.Quiet(time.Hour)

	p = closed()
	p.Send("A 1001+5 ack 11 win 65535") // ACK taken, text not
	rejectedFor(t, p, tcp.NoRoom)
	p.Expect("A 11 ack 1001 win 0")
	p.Quiet(time.Hour)

	p = closed()
	p.Send("A 1002 ack 11 win 65535")
	rejectedFor(t, p, tcp.OutOfWindow)
	p.Expect("A 11 ack 1001 win 0")
	p.Send("R 1001")
	p.Ended(tcp.ErrReset)
}

// RFC 5961 §3.2: a RST resets only at RCV.NXT; in the window elsewhere it is
// challenged, outside it is ignored.
func TestBlindReset(t *testing.T) {
	p := tcptest.Established(t)
	p.Events = nil
	p.Send("R 0")
	p.Nothing()
	p.Send("R 100000")
	p.Nothing()
	p.Send("R 2")
	p.Expect("A 1 ack 1")
	p.Send("R 65000")
	p.Expect("A 1 ack 1")
	p.Is(tcp.Estab)
	rejectedFor(t, p, tcp.OutOfWindow, tcp.OutOfWindow, tcp.BadReset, tcp.BadReset)
	p.Send("R 1")
	p.Ended(tcp.ErrReset)
}

// RFC 5961 §4.2: a SYN in a synchronized state is challenged, wherever it is.
func TestBlindSYN(t *testing.T) {
	for _, make := range []func(testing.TB, ...tcptest.Option) *tcptest.Peer{
		tcptest.Established, tcptest.FinWait1, tcptest.FinWait2, tcptest.CloseWait, tcptest.LastAck,
	} {
		p := make(t)
		was := p.Conn.State()
		next := len(p.Drain())
		_ = next
		p.Send("S 1 win 100 mss 500")
		if got := p.Drain(); len(got) != 1 {
			t.Errorf("%v: answered with %v", was, got)
		}
		p.Send("S 1000000 win 100 mss 500")
		if got := p.Drain(); len(got) != 1 {
			t.Errorf("%v: answered with %v", was, got)
		}
		p.Is(was)
	}
}

// RFC 5961 §5.2: acceptable ACKs lie in [SND.UNA-MAX.SND.WND, SND.NXT].
// RFC 9293 §3.10.7.4, fifth check (MAY-12).
func TestBlindData(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Events = nil
	p.Send("A 1+10 ack 2 win 512") // acknowledges what was not sent
	p.Expect("A 1 ack 1")
	rejectedFor(t, p, tcp.BadAck)
	p.Send("A 1+10 ack -70000 win 512")
	p.Expect("A 1 ack 1")
	rejectedFor(t, p, tcp.BadAck)
	p.Send("A 1+10 ack -60000 win 512")
	rejectedFor(t, p)
	p.Read(10)
	p.After(40*time.Millisecond, "A 1 ack 11")
}

// RFC 5961 §7: challenges are bounded, per connection.
func TestChallengeLimit(t *testing.T) {
	p := tcptest.Established(t)
	n := 0
	for range 100 {
		p.Send("R 2")
		n += len(p.Drain())
	}
	if n != 10 {
		t.Errorf("%d challenges, want 10", n)
	}
	p.Pass(time.Second)
	p.Send("R 2")
	p.Expect("A 1 ack 1")
	// RFC 9293 §3.8.4: data and its retransmissions are answered in any case.
	for range 100 {
		p.Send("A -9+10 ack 1 win 512")
		p.Expect("A 1 ack 1")
	}
}

// RFC 9293 §3.10.7.4, fifth check: a segment without ACK is dropped.
func TestNoAck(t *testing.T) {
	p := tcptest.Established(t)
	p.Events = nil
	p.Send("- 1+10")
	p.Send("F 1")
	p.Nothing()
	rejectedFor(t, p, tcp.NoAck, tcp.NoAck)
}

// RFC 9293 §3.10.7.4, seventh check: text is taken once, in order, whatever
// arrives how often.
func TestText(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 1+100 ack 1 win 512")
	p.Send("A 51+100 ack 1 win 512") // overlaps
	p.Expect("A 1 ack 151 sack 51-101")
	p.Send("A 251+100 ack 1 win 512") // a hole
	p.Expect("A 1 ack 151 sack 251-351")
	p.Send("A 201+100 ack 1 win 512")
	p.Expect("A 1 ack 151 sack 201-351")
	p.Send("A 141+300 ack 1 win 512") // over all of it
	p.Expect("A 1 ack 441")
	p.Read(440)
	p.Nothing()
}

// RFC 9293 §3.10.7.4: text beyond the window is cut off.
func TestTextBeyondWindow(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 1000, NoTimestamps: true, NoWindowScale: true}))
	p.Send("FA 1+1200 ack 1 win 65535")
	p.Expect("A 1 ack 1001 win 0")
	p.Is(tcp.Estab)
	p.Read(1000)
	p.Expect("A 1 ack 1001 win 1000")
}

// A super-segment is taken as one, and counts as its segments for the ACK.
// RFC 9293 §3.8.6.3 (SHLD-19).
func TestReceiveSuperSegment(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 1+20000 ack 1 win 512 super 1000")
	p.Expect("A 1 ack 20001")
	p.Send("A 20001+1000 ack 1 win 512")
	p.Nothing()
	p.Send("A 21001+1000 ack 1 win 512")
	p.Expect("A 1 ack 22001")
	p.Read(22000)
	if n := p.Conn.Info().SegsReceived; n != 23 {
		t.Errorf("%d segments counted, want 23", n)
	}
}
