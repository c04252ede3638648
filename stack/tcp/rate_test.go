package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
	"github.com/sennit-net/sennit/stack/wire"
)

// model is a controller that only listens.
type model struct {
	cwnd   int
	rate   float64
	cfg    cc.Config
	acks   []cc.Ack
	lost   []cc.Lost
	events []cc.Event
	starts int
	slow   bool
}

func (m *model) Acked(a cc.Ack)                 { m.acks = append(m.acks, a) }
func (m *model) Congested(e cc.Event)           { m.events = append(m.events, e) }
func (m *model) Undo(mono.Time)                 {}
func (m *model) Idle(mono.Time, time.Duration)  {}
func (m *model) Window() (int, int)             { return m.cwnd, 1 << 30 }
func (m *model) Pacing() float64                { return m.rate }
func (m *model) Lost(l cc.Lost)                 { m.lost = append(m.lost, l) }
func (m *model) Start(mono.Time, time.Duration) { m.starts++ }
func (m *model) Draining() bool                 { return m.slow }
func (m *model) with(c *tcp.Config)             { c.NewController = m.make }
func (m *model) make(c cc.Config) cc.Controller { m.cfg = c; return m }
func (m *model) last() cc.Ack                   { return m.acks[len(m.acks)-1] }
func withReno(c *tcp.Config)                    { c.NewController = cc.NewReno }
func withBBR(c *tcp.Config)                     { c.NewController = cc.NewBBR }
func open(t *testing.T, rtt time.Duration, opts ...tcptest.Option) *tcptest.Peer {
	t.Helper()
	p := tcptest.SynSent(t, append([]tcptest.Option{tcptest.NoTimestamps, tcptest.NoDelay}, opts...)...)
	p.Pass(rtt)
	p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ws 7")
	p.Expect("A 1 ack 1")
	return p
}

// draft-ietf-ccwg-bbr §4.1.2: a sample is what was delivered between the sending
// of the newest segment acknowledged and now, over the longer of the times it
// took to send and to be acknowledged.
func TestDeliveryRate(t *testing.T) {
	m := &model{cwnd: 1 << 20}
	p := open(t, 100*ms, m.with, noProbe)
	p.Write(2920)
	p.ExpectAll("A 1+1460 ack 1", "PA 1461+1460 ack 1")
	p.Pass(30 * ms)
	p.Write(1460)
	p.Expect("PA 2921+1460 ack 1")
	p.Pass(70 * ms)
	p.Send("A 1 ack 2921 win 60000")
	if s := m.last().Sample; s.Delivered() != 2920 || s.Interval != 100*ms || s.InFlight != 2920 || s.Rate() != 29200 {
		t.Errorf("first sample %+v", s)
	}
	p.Pass(30 * ms)
	p.Send("A 1 ack 4381 win 60000")
	// Sent 30 ms after the first, acknowledged 130 ms after it: all that
	// arrived since counts.
	if s := m.last().Sample; s.Delivered() != 4380 || s.Interval != 130*ms || s.Total != 4380 || s.InFlight != 4380 {
		t.Errorf("second sample %+v", s)
	}
	// Nothing was in flight: the next starts anew.
	p.Pass(time.Second)
	p.Write(1460)
	p.Expect("PA 4381+1460 ack 1")
	// The ACK of what was sent before, just after it was sent again, would make
	// an absurd rate: no sample takes less than a round trip.
	for p.Waiting() == 0 {
		p.Pass(ms)
	}
	p.Take()
	p.Pass(10 * ms)
	p.Send("A 1 ack 5841 win 60000")
	if s := m.last().Sample; s.Interval != 0 || s.Rate() != 0 || s.Delivered() != 1460 {
		t.Errorf("sample %+v after 10 ms", s)
	}
}

// draft-ietf-ccwg-bbr §4.1.2.4: while the application has nothing to send, and
// for a round trip after, samples say so; so they do while the controller itself
// holds back. A start from silence is told.
func TestRateLimitedByApplication(t *testing.T) {
	m := &model{cwnd: 1 << 20}
	p := open(t, 50*ms, m.with)
	send := func(at int) {
		p.Write(1460)
		p.Expect(fmt.Sprintf("PA %d+1460 ack 1", at))
	}
	ack := func(n int, limited bool) {
		t.Helper()
		p.Send(fmt.Sprintf("A 1 ack %d win 60000", n))
		if s := m.last().Sample; s.AppLimited != limited {
			t.Errorf("up to %d: limited by the application %v", n, s.AppLimited)
		}
	}
	send(1)
	p.Pass(20 * ms)
	send(1461) // after a pause
	p.Pass(30 * ms)
	ack(1461, false)
	ack(2921, true)
	if m.starts != 1 {
		t.Errorf("%d starts", m.starts)
	}
	p.Pass(20 * ms)
	send(2921) // from silence
	if m.starts != 2 {
		t.Errorf("%d starts", m.starts)
	}
	p.Pass(50 * ms)
	m.slow = true
	ack(4381, true)
	m.slow = false
	p.Write(1460)
	p.Expect("PA 4381+1460 ack 1")
	p.Pass(50 * ms)
	ack(5841, true)
}

// draft-ietf-ccwg-bbr §5.5.10.2: a range found lost is told with what was in
// flight when it left and what was lost since.
func TestLossIsTold(t *testing.T) {
	m := &model{cwnd: 1 << 20}
	p := open(t, 50*ms, m.with)
	p.Write(5 * 1460)
	for i := range 5 {
		text := fmt.Sprintf("A %d+1460 ack 1", 1+i*1460)
		if i == 4 {
			text = "P" + text
		}
		p.Expect(text)
	}
	p.Pass(50 * ms)
	p.Send("A 1 ack 1 win 60000 sack 2921-7301")
	for p.Waiting() > 0 {
		p.Take()
	}
	lost := 0
	for _, l := range m.lost {
		lost += l.Bytes
		if l.Since != lost || l.InFlight < l.Bytes || l.Total != 3*1460 {
			t.Errorf("%+v", l)
		}
	}
	if lost != 2920 || m.lost[0].Off != 0 || m.lost[0].InFlight != 1460 {
		t.Errorf("%d bytes told as lost, first %+v", lost, m.lost)
	}
	if s := m.last().Sample; s.Lost != 2920 || s.Delivered() != 3*1460 {
		t.Errorf("sample %+v", s)
	}
}

// draft-ietf-ccwg-bbr §5.6.2, §5.6.3: what leaves at once is a millisecond's
// worth, two segments at least; the next leaves when the rate has paid for it.
func TestPacedInQuanta(t *testing.T) {
	m := &model{cwnd: 1 << 20, rate: 1460e3}
	p := open(t, 50*ms, m.with)
	p.Write(6 * 1460)
	p.ExpectAll("A 1+1460 ack 1", "A 1461+1460 ack 1")
	p.After(2*ms, "A 2921+1460 ack 1")
	p.Expect("A 4381+1460 ack 1")
	p.After(2*ms, "A 5841+1460 ack 1")
	p.Expect("PA 7301+1460 ack 1")
	// Silence earns no credit.
	p.Send("A 1 ack 8761 win 60000")
	p.Pass(time.Second)
	p.Write(4 * 1460)
	p.ExpectAll("A 8761+1460 ack 1", "A 10221+1460 ack 1")
	p.After(2*ms, "A 11681+1460 ack 1")
	p.Expect("PA 13141+1460 ack 1")

	// A super-segment is no larger than that either.
	m = &model{cwnd: 1 << 20, rate: 14600e3}
	p = open(t, 50*ms, m.with, func(c *tcp.Config) { c.MaxSuper = 64000 })
	p.Write(20 * 1460)
	p.Expect("A 1+14600 ack 1")
	p.After(ms, "PA 14601+14600 ack 1")
}

// The average rate is exact from 1 Mbit/s to 10 Gbit/s though every timer comes
// late: what lateness cost is sent at once.
func TestPacingRateIsExact(t *testing.T) {
	for _, rate := range []float64{125e3, 1.25e6, 125e6, 1.25e9} {
		m := &model{cwnd: 1 << 30, rate: rate}
		p := open(t, 50*ms, m.with, func(c *tcp.Config) { c.MaxSuper = 64000; c.SendBuffer = 16 << 20 })
		start, sent, late := p.Now, 0, 100*time.Microsecond
		for p.Now.Sub(start) < 200*ms+time.Duration(300*1460/rate*1e9) {
			if i := p.Conn.Info(); i.Unacked < 4<<20 {
				p.Stream.Write(p.Now, make([]byte, 4<<20))
			}
			largest := 0
			for p.Waiting() > 0 {
				n := p.Take().Len()
				sent, largest = sent+n, largest+n
			}
			if most := cc.Quantum(rate, 1460) + int(rate*2*late.Seconds()) + 1460; largest > most {
				t.Fatalf("%g B/s: %d at once, want %d at most", rate, largest, most)
			}
			p.Send(fmt.Sprintf("A 1 ack %d win 65535", 1+sent))
			p.Now = max(p.Stream.Deadline(), p.Now).Add(late)
			p.Stream.Advance(p.Now)
		}
		for p.Waiting() > 0 {
			p.Take()
		}
		got := float64(sent) / p.Now.Sub(start).Seconds() / rate
		if got < 0.99 || got > 1.02 {
			t.Errorf("%g B/s: sent %.3f of it", rate, got)
		}
		p.Abort()
		p.Take()
	}
}

// Retransmissions are paced, and the initial window where the controller models
// the path (draft-ietf-ccwg-bbr §5.6.2).
func TestRetransmissionsArePaced(t *testing.T) {
	m := &model{cwnd: 1 << 20, rate: 1460e3}
	p := open(t, 50*ms, m.with)
	p.Write(10 * 1460)
	p.Pass(20 * ms)
	for p.Waiting() > 0 {
		p.Take()
	}
	m.rate = 146e3 // two segments in 20 ms
	p.Pass(40 * ms)
	p.Send("A 1 ack 1 win 60000 sack 8761-14601")
	p.ExpectAll("A 1+1460 ack 1", "A 1461+1460 ack 1")
	p.After(20*ms, "A 2921+1460 ack 1")
	p.Expect("A 4381+1460 ack 1")
	p.Abort()
	p.Take()

	p = open(t, 100*ms, withBBR)
	p.Write(10 * 1460)
	if n := p.Waiting(); n != 2 {
		t.Errorf("%d segments of the initial window at once", n)
	}
	p.Pass(60 * ms)
	if n := p.Waiting(); n != 10 {
		t.Errorf("%d segments of the initial window after 60 ms", n)
	}
	for p.Waiting() > 0 {
		p.Take()
	}
	p.Abort()
	p.Take()
}

// RFC 5681 §4.1, RFC 7661 §4.4.2: after a pause there is no ACK clock; the window
// leaves at the pace of the last round trip, not in one burst.
func TestIdleRestartIsPaced(t *testing.T) {
	p := open(t, 100*ms, withReno, tcptest.Paced())
	p.Write(10 * 1460)
	for p.Waiting() > 0 {
		p.Take()
	}
	p.Pass(100 * ms)
	p.Send("A 1 ack 14601 win 60000")
	p.Pass(10 * time.Second)
	p.Write(20 * 1460)
	if n := p.Waiting(); n != 2 {
		t.Errorf("%d segments at once after a pause", n)
	}
	p.Pass(60 * ms)
	if n := p.Waiting(); n != 10 { // the restart window
		t.Errorf("%d segments after 60 ms, want the restart window", n)
	}
	for p.Waiting() > 0 {
		p.Take()
	}
	p.Abort()
	p.Take()
}

// RFC 5681 §3.1: nothing leaves beyond the smaller of the congestion window and
// the peer's; neither SYN-ACK nor its ACK makes the former grow.
func TestWindowsBoundWhatIsSent(t *testing.T) {
	m := &model{cwnd: 5 * 1460}
	p := open(t, 50*ms, m.with)
	if len(m.acks) != 0 {
		t.Errorf("the handshake grew the window: %+v", m.acks)
	}
	p.Write(20 * 1460)
	if n := p.Waiting(); n != 5 {
		t.Errorf("%d segments in a window of 5", n)
	}
	for p.Waiting() > 0 {
		p.Take()
	}
	m.cwnd = 1 << 20
	p.Send("A 1 ack 7301 win 23") // 2944 bytes
	if n := p.Waiting(); n != 2 {
		t.Errorf("%d segments in a peer's window of two", n)
	}
	for p.Waiting() > 0 {
		p.Take()
	}
	p.Abort()
	p.Take()

	m = &model{cwnd: 5 * 1460}
	tcptest.Accepted(t, tcptest.NoTimestamps, m.with)
	if len(m.acks) != 0 {
		t.Errorf("the ACK of the SYN-ACK grew the window: %+v", m.acks)
	}
}

// RFC 5681 §3.1: a path that got smaller takes the window along: as many
// segments, not as many bytes.
func TestWindowFollowsPathMTU(t *testing.T) {
	p := open(t, 50*ms, withReno)
	p.Write(3 * 1460)
	for p.Waiting() > 0 {
		p.Take()
	}
	before := p.Conn.Info()
	p.Control(tcp.PacketTooBig, 1000, 1)
	for p.Waiting() > 0 {
		p.Take()
	}
	after := p.Conn.Info()
	if after.MSS >= before.MSS || after.Cwnd > before.Cwnd/before.MSS*after.MSS {
		t.Errorf("MSS %d and window %d, were %d and %d", after.MSS, after.Cwnd, before.MSS, before.Cwnd)
	}
	p.Abort()
	p.Take()
}

// RFC 6928 §2: one lost SYN leaves the initial window; more make it one segment
// (RFC 5681 §3.1).
func TestInitialWindowAfterLostSYN(t *testing.T) {
	for lost, want := range []int{14600, 14600, 1460} {
		p := tcptest.SynSent(t, tcptest.NoTimestamps, withReno)
		for i := range lost {
			p.After(time.Second<<i, "S 0")
		}
		p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ws 7")
		p.Expect("A 1 ack 1")
		if w := p.Conn.Info().Cwnd; w != want {
			t.Errorf("%d SYNs lost: window %d, want %d", lost, w, want)
		}
		p = tcptest.SynReceived(t, tcptest.NoTimestamps, withReno)
		for i := range lost {
			p.After(time.Second<<i, "SA 0 ack 1")
		}
		p.Send("A 1 ack 1 win 512")
		if w := p.Conn.Info().Cwnd; w != want {
			t.Errorf("%d SYN-ACKs lost: window %d, want %d", lost, w, want)
		}
	}
}

// marks is ECN as a peer that echoes a mark on every ACK while on.
type marks struct{ on bool }

func (m *marks) Mark(mono.Time, tcp.Outgoing) (wire.Flags, ecn.Codepoint) { return 0, ecn.NotECT }
func (m *marks) Arrived(mono.Time, *wire.Segment) bool                    { return false }
func (m *marks) Acked(_ mono.Time, _ *wire.Segment, n int) (int, bool)    { return n, m.on && n > 0 }

// RFC 9438 §4.6, RFC 3168 §6.1.2: marks at a window of one segment leave only the
// retransmission timer to slow the sender further: the next segment goes when
// it would run out.
func TestMarksAtTheSmallestWindow(t *testing.T) {
	k := &marks{on: true}
	c := cc.NewReno(cc.Config{MSS: 1460, Window: 1460})
	p := open(t, 50*ms, func(cfg *tcp.Config) {
		cfg.ECN = k
		cfg.NewController = func(cc.Config) cc.Controller { return c }
	})
	p.Write(4 * 1460)
	p.Expect("A 1+1460 ack 1")
	p.Pass(50 * ms)
	p.Send("A 1 ack 1461 win 60000")
	rto := p.Conn.Info().RTO
	p.After(rto, "A 1461+1460 ack 1")
	p.Pass(50 * ms)
	k.on = false
	p.Send("A 1 ack 2921 win 60000")
	if p.Waiting() == 0 {
		t.Error("without a mark the next has to wait, too")
	}
	for p.Waiting() > 0 {
		p.Take()
	}
	p.Abort()
	p.Take()
}

// RFC 6928 §9: with a large initial window the timer starts anew with each ACK of
// new data, or the later segments of the flight would run into it.
func TestTimerStartsAnewWithEachACK(t *testing.T) {
	p := open(t, 100*ms, withReno, noProbe)
	p.Write(10 * 1460)
	for p.Waiting() > 0 {
		p.Take()
	}
	for i := 1; i <= 9; i++ {
		p.Pass(150 * ms)
		p.Send(fmt.Sprintf("A 1 ack %d win 60000", 1+i*1460))
	}
	if i := p.Conn.Info(); i.Retransmits != 0 || i.Unacked != 1460 {
		t.Errorf("%d segments sent again, %d bytes unacknowledged", i.Retransmits, i.Unacked)
	}
	p.Pass(10 * time.Second)
	if p.Waiting() == 0 {
		t.Error("no timer runs for the last segment")
	}
	for p.Waiting() > 0 {
		p.Take()
	}
	p.Abort()
	p.Take()
}
