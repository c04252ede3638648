package simnet_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
	"github.com/sennit-net/sennit/stack/wire"
)

// What went wrong in other stacks, one test for each.

const day = 24 * time.Hour

// quick has no Nagle algorithm, and no timestamps: segments of 1460 bytes.
func quick(c *tcp.Config) { c.NoDelay, c.NoTimestamps = true, true }

// Recovery stalled for minutes when auto-tuning grew the send buffer meanwhile.
func TestRecoveryDoesNotStallAsTheBufferGrows(t *testing.T) {
	line := simnet.Shape{Rate: 200e6, Delay: 25 * ms, Queue: 400e3, Loss: 0.002}
	back := simnet.Shape{Rate: 200e6, Delay: 25 * ms}
	w := newWorld(t, simnet.Seed(t), setup{to: line, from: back, up: 48 << 20, bulk: true})
	w.open()
	last, still, most := uint64(0), time.Duration(0), 0
	for !w.Run(w.Elapsed()+10*ms, w.done) && w.Elapsed() < 2*time.Minute {
		i := w.client.stream.Conn.Info()
		most = max(most, i.Cwnd)
		if still += 10 * ms; i.BytesAcked != last || w.client.talker.Shut {
			last, still = i.BytesAcked, 0
		}
		if still > 500*ms {
			t.Fatalf("nothing was acknowledged for %v: %s", still, describe(&w.client))
		}
	}
	if most < 128<<10 {
		t.Errorf("cwnd never exceeded %d: the send buffer had no reason to grow", most)
	}
	w.verify(w.Run(2*time.Minute, w.done))
}

// RACK's reordering timer was lost when a recovery turned out to be spurious,
// and with it the next loss (RFC 8985 §6.2).
func TestReorderingTimerOutlivesSpuriousDetection(t *testing.T) {
	p := tcptest.SynSent(t, quick)
	p.Pass(100 * ms)
	p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ws 7")
	p.Drain()
	p.Write(8 * 1460)
	p.Drain()
	p.Pass(100 * ms)
	p.Send("A 1 ack 1 win 512 sack 1461-5841") // the first is late: recovery begins
	p.Expect("A 1+1460 ack 1")
	p.Events = nil
	// A DSACK says it was for nothing; the sixth segment has a hole before it.
	p.Send("A 1 ack 5841 win 512")
	p.Send("A 1 ack 5841 win 512 sack 1-1461")
	if !p.Happened("spurious") {
		t.Fatal("not found spurious")
	}
	p.Pass(ms)
	p.Send("A 1 ack 5841 win 512 sack 7301-8761")
	p.Nothing()
	p.Pass(60 * ms)
	if got := p.Drain(); len(got) != 1 || got[0][:11] != "A 5841+1460" {
		t.Errorf("sent %v after the reordering window, want the hole", got)
	}
	if p.Happened("rto") {
		t.Error("a timeout had to repair it")
	}
	p.Send("A 1 ack 11681 win 512")
}

// Only a quarter of the window was usable for data out of order.
func TestWholeWindowForDataOutOfOrder(t *testing.T) {
	p := tcptest.Established(t, quick)
	left := p.Conn.Info().RcvWnd
	at := 1001
	for n := 1000; at+n <= 1+left; at += n {
		p.Send(fmt.Sprintf("A %d+%d ack 1 win 512", at, n))
		p.Expect(fmt.Sprintf("A 1 ack 1 sack 1001-%d", at+n))
	}
	if at-1001 < left*9/10 {
		t.Fatalf("%d bytes for a window of %d", at-1001, left)
	}
	p.Send("A 1+1000 ack 1 win 512")
	p.Expect(fmt.Sprintf("A 1 ack %d no-sack", at))
	p.Read(at - 1)
	p.Drain()
}

// Segments exceeded the negotiated MSS once options were added (RFC 9293
// §3.7.1, RFC 6691 §2).
func TestOptionsCountAgainstTheMSS(t *testing.T) {
	for _, super := range []int{0, 64000} {
		p := tcptest.SynSent(t, func(c *tcp.Config) { c.NoDelay, c.MaxSuper = true, super })
		p.Send("SA 0 ack 1 win 65535 mss 1000 sackok ts 1/0 ws 7")
		p.Drain()
		for i := range 4 { // and so SACK blocks ride along
			p.Send(fmt.Sprintf("A %d+10 ack 1 win 512 ts 1/3600000", 101+100*i))
		}
		p.Drain()
		p.Write(8000)
		sent := 0
		for sent < 8000 {
			var seg wire.Segment
			s := p.Expect(next(p, sent+1))
			seg = *s
			n := s.Len()
			sent += n
			if seg.MSS > 0 {
				n = min(n, int(seg.MSS))
			}
			if n += wire.OptionLen(&seg.Options); n > 1000 {
				t.Errorf("%d bytes of options and payload, the peer's MSS is 1000", n)
			}
		}
		p.Send("R 1")
	}
}

// next returns the notation of the next data segment, whatever its size and
// flags.
func next(p *tcptest.Peer, at int) string {
	text := p.Peek()
	var flags, numbers string
	if _, err := fmt.Sscan(text, &flags, &numbers); err != nil {
		return fmt.Sprintf("A %d+1 ack 1", at)
	}
	return flags + " " + numbers
}

// A zero window never opened again when the update that said so was lost
// (RFC 9293 §3.8.6.1, RFC 9293 §3.8.6.2.2).
func TestLostWindowUpdate(t *testing.T) {
	line := simnet.Shape{Rate: 20e6, Delay: 5 * ms}
	closed, lost := false, 0
	box := simnet.Filter(func(_ mono.Time, d simnet.Direction, s *wire.Segment) bool {
		if d != simnet.Backward || s.Flags.Has(wire.SYN) {
			return true
		}
		was := closed
		closed = s.Window == 0
		if was && !closed && lost < 3 { // the update, and two answers to probes
			lost++
			closed = true
			return false
		}
		return true
	})
	w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 300e3, boxes: []simnet.Box{box},
		server: func(c *tcp.Config) { c.MaxWindow = 30000 }})
	pause := true
	w.open()
	w.Run(100*ms, func() bool { return w.server.stream != nil })
	w.server.talker.Pause = func(mono.Time) bool { return pause }
	w.After(5*time.Second, func() { pause = false; w.server.sock.Do(func(mono.Time) {}) })
	w.verify(w.Run(time.Minute, w.done))
	if lost != 3 {
		t.Errorf("%d updates were lost, want 3", lost)
	}
}

// A FIN was lost behind a full window: sent beyond it, or never sent again.
func TestFINBehindAFullWindow(t *testing.T) {
	for _, more := range []int{0, 1, 5000} {
		for _, drop := range []int{0, 2} {
			t.Run(fmt.Sprintf("%d more, %d lost", more, drop), func(t *testing.T) {
				line := simnet.Shape{Rate: 20e6, Delay: 5 * ms}
				fins := 0
				box := simnet.Filter(func(_ mono.Time, d simnet.Direction, s *wire.Segment) bool {
					if d == simnet.Forward && s.Flags.Has(wire.FIN) {
						fins++
						return fins > drop
					}
					return true
				})
				w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 30000 + more, boxes: []simnet.Box{box},
					server: func(c *tcp.Config) { c.MaxWindow = 30000 }})
				pause := true
				w.open()
				w.Run(100*ms, func() bool { return w.server.stream != nil })
				w.server.talker.Pause = func(mono.Time) bool { return pause }
				w.After(20*time.Second, func() { pause = false; w.server.sock.Do(func(mono.Time) {}) })
				w.verify(w.Run(2*time.Minute, w.done))
			})
		}
	}
}

// The same where the FIN goes alone, beyond the window, and the peer refuses it
// for minutes.
func TestFINRefusedForWantOfWindow(t *testing.T) {
	p := tcptest.SynSent(t, quick)
	p.Send("SA 0 ack 1 win 2920 mss 1460 sackok")
	p.Drain()
	p.Write(2920)
	p.ExpectAll("A 1+1460 ack 1", "PA 1461+1460 ack 1")
	p.Shutdown(tcp.CloseWriting)
	p.Drain()
	for range 5 {
		p.Send("A 1 ack 2921 win 0")
		p.Pass(time.Minute)
		if again := p.Drain(); len(again) == 0 || again[len(again)-1][:7] != "FA 2921" {
			t.Fatalf("sent %v within a minute, want the FIN", again)
		}
	}
	p.Send("A 1 ack 2922 win 2920")
	p.Is(tcp.FinWait2)
}

// Timestamps wrapped, or changed their sign, while the connection was idle, and
// PAWS refused all that came after (RFC 7323 §5.5).
func TestTimestampsAfterWeeksOfSilence(t *testing.T) {
	for _, idle := range []time.Duration{23 * day, 25 * day, 30 * day, 50 * day, 75 * day} {
		t.Run(fmt.Sprint(idle/day), func(t *testing.T) {
			p := tcptest.SynSent(t)
			p.Send("SA 0 ack 1 win 65535 mss 1460 sackok ts 100/3600000 ws 7")
			p.Drain()
			p.Quiet(idle)
			now := uint32(p.Now / 1e6)
			theirs := 100 + uint32(idle/ms)
			// Both ways, and the round trip is measured by the echo.
			p.Send(fmt.Sprintf("PA 1+100 ack 1 win 512 ts %d/3600000", theirs))
			p.Read(100)
			p.After(40*ms, fmt.Sprintf("A 1 ack 101 ts %d/%d", now+40, theirs))
			p.Write(100)
			p.Expect(fmt.Sprintf("PA 1+100 ack 101 ts %d/%d", now+40, theirs))
			p.Pass(20 * ms)
			p.Send(fmt.Sprintf("A 101 ack 101 win 512 ts %d/%d", theirs+50, now+40))
			if i := p.Conn.Info(); i.SRTT > 30*ms || i.Retransmits != 0 {
				t.Errorf("SRTT %v, %d retransmissions", i.SRTT, i.Retransmits)
			}
		})
	}
}

// A peer took window back that it had offered, with data beyond it in flight
// (RFC 9293 §3.8.6).
func TestPeerShrinksItsWindow(t *testing.T) {
	p := tcptest.Established(t, quick)
	p.Write(10 * 1460)
	p.Drain()
	p.Send("A 1 ack 1 win 0")  // all of it is beyond the edge now
	p.Send("A 1 ack 1 win 20") // 2560 bytes
	p.Send("A 1 ack 2921 win 0")
	if w := p.Conn.Info().SndWnd; w != 0 {
		t.Fatalf("window %d, want 0", w)
	}
	// For hours: what is out is sent again, the connection stays.
	for range 300 {
		p.Pass(time.Minute)
		p.Drain()
		p.Send("A 1 ack 2921 win 0")
	}
	p.Is(tcp.Estab)
	p.Send("A 1 ack 2921 win 512")
	p.Pass(2 * time.Minute)
	again := p.Drain()
	p.Send("A 1 ack 14601 win 512")
	p.Write(100)
	p.Expect("PA 14601+100 ack 1")
	p.Send("A 1 ack 14701 win 512")
	if len(again) == 0 {
		t.Error("nothing was sent again once the window was open")
	}
}

// A SYN that meets TIME-WAIT: a new connection begins if it cannot be an old
// duplicate (RFC 6191 §2); else it gets an ACK, and 2 MSL are not cut short
// (RFC 1337 §3).
func TestSYNInTimeWait(t *testing.T) {
	p := tcptest.TimeWait(t, tcptest.NoTimestamps)
	if !p.Reopens("S 2 win 65535 mss 1460") || p.Reopens("S 1 win 65535 mss 1460") || p.Reopens("SA 2 ack 2 win 65535") {
		t.Error("the wrong SYN takes it over")
	}
	p.Send("S 1 win 65535 mss 1460")
	p.Expect("A 2 ack 2")
	p.Send("R 2")
	p.Is(tcp.TimeWait)
	p.Pass(61 * time.Second)
	p.Ended(nil)
}

// both opens a connection from both ends at once.
func both(t *testing.T, line simnet.Shape, apart time.Duration, up, down int) *world {
	w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: up, down: down})
	c := tcp.Config{Local: netip.MustParseAddrPort("198.51.100.1:80"), Remote: netip.MustParseAddrPort("192.0.2.1:1000"), MTU: 1500,
		MaxSuper: 64000, ISS: seq.Num(w.Rand().Uint32()), TSOffset: w.Rand().Uint32()}
	w.server.stream = tcp.NewStream(c)
	w.start(&w.server, simnet.Tuple{Local: c.Local, Remote: c.Remote}, 2, 1, down)
	w.open()
	w.After(apart, func() { w.server.sock.Do(w.server.stream.Conn.Open) })
	return w
}

// Simultaneous open (RFC 9293 §3.5, figure 7), and simultaneous close (§3.6,
// figure 13), also where one of the SYNs is lost.
func TestSimultaneousOpenAndClose(t *testing.T) {
	for _, apart := range []time.Duration{0, 3 * ms, 9 * ms} {
		for _, loss := range []float64{0, 0.3} {
			t.Run(fmt.Sprintf("%v apart, %v lost", apart, loss), func(t *testing.T) {
				line := simnet.Shape{Rate: 20e6, Delay: 10 * ms, Loss: loss}
				w := both(t, line, apart, 20000, 20000)
				w.verify(w.Run(5*time.Minute, w.done))
				if !w.Run(10*time.Minute, func() bool { return ended(&w.client) && ended(&w.server) }) {
					t.Fatalf("not closed:\n%s\n%s", describe(&w.client), describe(&w.server))
				}
				if loss == 0 && (w.client.stream.Conn.Info().Retransmits > 1 || w.server.stream.Conn.Info().Retransmits > 1) { // the SYN goes once more, with an ACK
					t.Error("something was sent again")
				}
			})
		}
	}
	// Both FINs cross: both ends go through CLOSING to TIME-WAIT.
	line := simnet.Shape{Rate: 20e6, Delay: 10 * ms}
	w := both(t, line, 0, 0, 0)
	w.verify(w.Run(10*time.Second, w.done))
	w.Sleep(time.Second)
	if c, s := w.client.stream.Conn.State(), w.server.stream.Conn.State(); c != tcp.TimeWait || s != tcp.TimeWait {
		t.Errorf("states are %v and %v, want TIME-WAIT for both", c, s)
	}
}
