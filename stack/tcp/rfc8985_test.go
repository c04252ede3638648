package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// distant is a connection with a round trip of 100 ms, SACK, no timestamps.
func distant(t *testing.T, opts ...tcptest.Option) *tcptest.Peer {
	t.Helper()
	opts = append([]tcptest.Option{tcptest.NoTimestamps, tcptest.NoDelay,
		func(c *tcp.Config) { c.NewController = reno }}, opts...)
	p := tcptest.SynSent(t, opts...)
	p.Pass(100 * time.Millisecond)
	p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ts 1/3600000 ws 7")
	p.Drain()
	return p
}

const ms = time.Millisecond

// send writes full segments n milliseconds apart.
func send(p *tcptest.Peer, first, n int, apart time.Duration) {
	for i := range n {
		p.Write(1460)
		p.Expect(fmt.Sprintf("PA %d+1460 ack 1", seg(first+i)))
		if i < n-1 {
			p.Pass(apart)
		}
	}
}

// RFC 8985 §6.2: with little SACKed, a quarter of the round trip is waited for
// stragglers; the reordering timer does it without another ACK.
func TestReorderingTimer(t *testing.T) {
	p := distant(t)
	send(p, 0, 3, ms)
	p.Pass(98 * ms)
	p.Send(sack(1, seg(1), seg(2))) // at 100, sent at 1: rtt 99
	p.Nothing()
	// Segment 0 was sent at 0: lost at 0+99+min_rtt/4 (99/4).
	p.After(0-ms+99*ms/4, "A 1+1460 ack 1")
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(3)))
	p.Drain()
}

// RFC 8985 §6.2, step 4: three segments SACKed, and no reordering ever seen:
// at once.
func TestLossAtOnce(t *testing.T) {
	p := distant(t)
	send(p, 0, 5, ms)
	p.Pass(97 * ms)
	p.Send(sack(1, seg(1), seg(2)))
	p.Send(sack(1, seg(1), seg(3)))
	p.Nothing()
	p.Send(sack(1, seg(1), seg(4)))
	p.Expect("A 1+1460 ack 1")
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(5)))
	p.Drain()
}

// RFC 8985 §9.1, example 2: a lost retransmission is found by time, and counts
// as another indication of congestion (RFC 5681 §4.3).
func TestLostRetransmissionByTime(t *testing.T) {
	p := distant(t)
	send(p, 0, 10, ms)
	p.Pass(91 * ms)
	for i := 2; i <= 4; i++ {
		p.Send(sack(1, seg(1), seg(i)))
	}
	p.Expect("A 1+1460 ack 1")
	first := p.Conn.Info().Ssthresh
	p.Pass(6 * ms)
	p.Send(sack(1, seg(1), seg(10)))
	p.Write(1460)
	p.Expect(fmt.Sprintf("PA %d+1460 ack 1", seg(10))) // sent after the retransmission
	p.Pass(101 * ms)
	p.Send(sack(1, seg(1), seg(11)))
	p.Expect("A 1+1460 ack 1")
	if p.Happened("rto") {
		t.Error("a timeout")
	}
	if got := p.Conn.Info().Ssthresh; got >= first {
		t.Errorf("ssthresh %d after a lost retransmission, was %d", got, first)
	}
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(11)))
}

// RFC 8985 §6.2, step 3: once reordering was seen, three SACKed segments are
// not enough.
func TestReorderingSeen(t *testing.T) {
	p := distant(t)
	send(p, 0, 5, ms)
	p.Pass(98 * ms)
	p.Send(sack(1, seg(2), seg(3)))
	p.Send(sack(1, seg(1), seg(3))) // late: reordering
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(5)))
	send(p, 5, 5, 0)
	p.Pass(100 * ms)
	p.Send(sack(seg(5), seg(6), seg(9)))
	p.Nothing()
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(10)))
	p.Quiet(10 * time.Second)
}

// RFC 8985 §7.2, RFC 8985 §7.3: a silent tail is probed after two round trips: with the
// last segment if there is nothing new; then the RTO, from there on.
func TestTailLossProbe(t *testing.T) {
	p := distant(t)
	send(p, 0, 3, 0)
	p.After(200*ms, fmt.Sprintf("PA %d+1460 ack 1", seg(2)))
	if !p.Happened("tail_probe") {
		t.Error("no event")
	}
	rto := p.Conn.Info().RTO
	p.After(rto, "A 1+1460 ack 1")
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(3)))
	p.Drain()
	// §7.4.1: the SACK of the probe tells of the losses before it.
	p = distant(t)
	send(p, 0, 3, 0)
	p.After(200*ms, fmt.Sprintf("PA %d+1460 ack 1", seg(2)))
	p.Pass(100 * ms)
	p.Send(sack(1, seg(2), seg(3)))
	p.Expect("A 1+1460 ack 1")
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(3)))
	p.Drain()
}

// RFC 8985 §7.2: one segment alone in flight gives the peer time to delay its
// ACK.
func TestProbeOfOne(t *testing.T) {
	p := distant(t)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.After(250*ms, "PA 1+100 ack 1")
	p.Send("A 1 ack 101 win 512")
	p.Quiet(time.Hour)
}

// RFC 8985 §7.3: new data makes the better probe, whatever the congestion
// window says.
func TestProbeWithNewData(t *testing.T) {
	p := distant(t)
	p.Write(20 * 1460)
	for i := range 10 {
		p.Expect(fmt.Sprintf("A %d+1460 ack 1", seg(i)))
	}
	p.After(200*ms, fmt.Sprintf("A %d+1460 ack 1", seg(10)))
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(11)))
	if w := p.Conn.Info().Cwnd; w < 14600 {
		t.Errorf("cwnd %d: a probe with new data is no sign of loss", w)
	}
	p.Drain()
	p.Send("R 1")
}

// RFC 8985 §7.4.2: what the answer to a probe means for congestion control.
func TestProbeAnswer(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []string
		lost    bool
	}{
		{"DSACK: both arrived", []string{sack(seg(3), seg(2), seg(3))}, false},
		{"repaired", []string{fmt.Sprintf("A 1 ack %d win 512", seg(3)), fmt.Sprintf("A 1 ack %d win 512", seg(4))}, true},
		{"bare duplicate", []string{fmt.Sprintf("A 1 ack %d win 512", seg(3)), fmt.Sprintf("A 1 ack %d win 512", seg(3)),
			fmt.Sprintf("A 1 ack %d win 512", seg(4))}, false},
	} {
		p := distant(t)
		send(p, 0, 3, 0)
		p.After(200*ms, fmt.Sprintf("PA %d+1460 ack 1", seg(2)))
		p.Pass(100 * ms)
		for i, a := range c.answers {
			if i == len(c.answers)-1 && i > 0 {
				send(p, 3, 1, 0)
			}
			p.Send(a)
		}
		if got := p.Conn.Info().Cwnd < 14600; got != c.lost {
			t.Errorf("%s: cwnd %d, want a reduction: %v", c.name, p.Conn.Info().Cwnd, c.lost)
		}
	}
}

// RFC 8985 §6.3: at a timeout, what was sent a moment ago is not taken for
// lost.
func TestTimeoutMarksWhatIsDue(t *testing.T) {
	p := distant(t, tcptest.Tuned(tcp.Tuning{NoDelay: true, NoTimestamps: true}))
	p.Write(1460)
	p.Expect("PA 1+1460 ack 1")
	p.After(250*ms, "PA 1+1460 ack 1") // probe
	rto := p.Conn.Info().RTO
	p.Pass(rto - 10*ms)
	p.Write(1460)
	p.Expect("PA 1461+1460 ack 1")
	p.After(10*ms, "A 1+1460 ack 1")
	if i := p.Conn.Info(); i.InFlight != 2920 {
		t.Errorf("in flight %d, want 2920: the second is under way", i.InFlight)
	}
	p.Send("A 1 ack 2921 win 512")
}

// RFC 9937 §6.2, RFC 9937 §6.3, RFC 6937 §3.1: of twenty segments the first is lost, Reno
// halves: N, N, R, then one for every two ACKs.
func TestProportionalRateReduction(t *testing.T) {
	p := distant(t, func(c *tcp.Config) { c.NoRACK = true })
	p.Write(14600)
	p.Drain()
	p.Pass(100 * ms)
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(10))) // cwnd 20
	p.Write(1460 * 40)
	p.Drain()
	if w := p.Conn.Info(); w.Cwnd != 29200 || w.InFlight != 29200 {
		t.Fatalf("cwnd %d, in flight %d", w.Cwnd, w.InFlight)
	}
	p.Pass(100 * ms)
	got := ""
	for i := 1; i < 20; i++ {
		p.Send(sack(seg(10), seg(11), seg(11+i)))
		switch s := p.Drain(); len(s) {
		case 0:
			got += "-"
		case 1:
			if s[0][:7] == fmt.Sprintf("A %d", seg(10)) {
				got += "R"
			} else {
				got += "N"
			}
		default:
			got += "*"
		}
	}
	// RFC 6937 §3.1 has NNR-N-N-N-N-N-N--N-NN; counting bytes, a segment leaves
	// when there is room for all of it, half a segment later.
	if want := "NNR--N-N-N-N-N-N--N"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	p.Send("R 1")
}
