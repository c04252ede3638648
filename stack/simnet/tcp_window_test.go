package simnet_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Auto-tuning: from the defaults, 1 Gbit/s x 100 ms is full after as many round
// trips as slow start takes to get there: the window (RFC 9293 §3.8.6) is never
// what holds it up, and opens ahead of the sender.
func TestWindowFills(t *testing.T) {
	line := simnet.Shape{Rate: 1e9, Delay: 50 * ms, Queue: 12.5e6}
	w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 400e6, bulk: true})
	w.open()
	w.Sleep(50 * ms)
	for range 12 {
		w.Sleep(100 * ms)
		if i := w.client.stream.Conn.Info(); i.Cwnd > 0 && i.SndWnd < i.Cwnd && i.Cwnd < 13e6 {
			t.Errorf("after %v a window of %d holds a sender up that may have %d in flight", w.Elapsed(), i.SndWnd, i.Cwnd)
		}
	}
	was := w.client.stream.Conn.Info().BytesAcked
	w.Sleep(100 * ms)
	if n := w.client.stream.Conn.Info().BytesAcked - was; n < 0.95*12.5e6 {
		t.Errorf("%d bytes in the round trip after 1.25 s, want 95 %% of 12.5e6", n)
	}
}

// Data behind a hole may fill the whole window: one lost segment, lost again,
// on a path of much more than 4096 segments (RFC 2018 §8: what was reported is
// kept).
func TestHoleTakesTheWholeWindow(t *testing.T) {
	line := simnet.Shape{Rate: 1e9, Delay: 50 * ms, Queue: 125e6}
	w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 60e6, bulk: true,
		boxes: []simnet.Box{lossAgain(2, 30e6)}})
	took := w.run(time.Minute)
	if i := w.client.stream.Conn.Info(); i.Retransmits > 12 || took > 3*time.Second {
		t.Errorf("%v and %d segments again for one lost twice", took, i.Retransmits)
	}
}

// A receiver takes back what it SACKed: the sender finds out by the timer and
// sends everything again (RFC 2018 §8).
func TestReneging(t *testing.T) {
	line := simnet.Shape{Rate: 20e6, Delay: 10 * ms}
	renege := true
	first := map[bool]uint32{}
	// The box drops data behind a hole and says that it arrived.
	forget := simnet.Editor(func(_ mono.Time, d simnet.Direction, s *wire.Segment) {
		if s.Flags.Has(wire.SYN) {
			first[d == simnet.Forward] = uint32(s.Seq) + 1
		}
		if d != simnet.Backward || !renege || s.NSACK == 0 {
			return
		}
		// Everything between the cumulative ACK and the first block is reported,
		// too, though it never arrived.
		s.SACK[0].Left = s.Ack + 1448
		renege = int(uint32(s.Ack)-first[true]) < 200e3
	})
	upload2(t, setup{to: line, from: line, up: 1e6, boxes: []simnet.Box{lossAgain(1, 60e3, 61.5e3, 63e3, 90e3), forget}})
}

// upload2 runs s and wants nothing but that it arrives.
func upload2(t *testing.T, s setup) {
	t.Helper()
	newWorld(t, simnet.Seed(t), s).run(time.Minute)
}

// One budget for many connections: slow readers do not hold more than it, and
// everything that was acknowledged arrives (RFC 9293 §3.8.6, SHLD-14: the edge
// stays).
func TestBudgetShared(t *testing.T) {
	b := tcp.NewBudget(256 << 10)
	line := simnet.Shape{Rate: 200e6, Delay: 5 * ms, Queue: 1e6, Loss: 0.002}
	var most int
	w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 8e6, bulk: true,
		server: func(c *tcp.Config) { c.Budget = b }})
	w.open()
	w.Sleep(50 * ms)
	stop := true
	w.server.talker.Pause = func(mono.Time) bool { most = max(most, b.Used()); return stop }
	w.Sleep(2 * time.Second)
	if most > 256<<10 || most < 128<<10 {
		t.Errorf("%d bytes held of a budget of %d", most, 256<<10)
	}
	stop = false
	w.verify(w.Run(time.Minute, w.done))
	if b.Used() != 0 {
		t.Errorf("%d bytes are still charged", b.Used())
	}
}
