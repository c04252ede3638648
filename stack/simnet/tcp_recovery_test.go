package simnet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// timeouts counts retransmission timeouts of a connection.
type timeouts struct{ n int }

func (r *timeouts) Record(_ mono.Time, e tcp.Event) {
	if _, ok := e.(tcp.RTO); ok {
		r.n++
	}
}

// upload runs an upload of n bytes and wants it to take no longer than most,
// without a single retransmission timeout.
func upload(t *testing.T, s setup, n int, most time.Duration) *world {
	t.Helper()
	return uploadWith(t, s, n, most, 0)
}

// uploadWith is upload with so many timeouts allowed.
func uploadWith(t *testing.T, s setup, n int, most time.Duration, allowed int) *world {
	t.Helper()
	var rto timeouts
	tune := s.client
	s.client = func(c *tcp.Config) {
		if tune != nil {
			tune(c)
		}
		c.Recorder = &rto
	}
	s.up, s.bulk = n, n > 2e6
	w := newWorld(t, simnet.Seed(t), s)
	took := w.run(10 * time.Minute)
	i := w.client.stream.Conn.Info()
	t.Logf("%v, %d of %d segments again, %d timeouts", took, i.Retransmits, i.SegsSent, rto.n)
	if took > most {
		t.Errorf("took %v, want at most %v", took, most)
	}
	if rto.n > allowed {
		t.Errorf("%d retransmission timeouts", rto.n)
	}
	return w
}

// pipe is a line with a queue of one bandwidth-delay product.
func pipe(rate int, rtt time.Duration) simnet.Shape {
	return simnet.Shape{Rate: rate, Delay: rtt / 2, Queue: int(float64(rate) / 8 * rtt.Seconds())}
}

// lossAgain drops the data of one direction at the given stream offsets the
// first k times it is sent.
func lossAgain(k int, at ...int) simnet.Box {
	var first uint32
	var known bool
	seen := map[int]int{}
	return simnet.Filter(func(_ mono.Time, d simnet.Direction, s *wire.Segment) bool {
		if d != simnet.Forward {
			return true
		}
		if s.Flags.Has(wire.SYN) {
			first, known = uint32(s.Seq)+1, true
		}
		if !known || s.Len() == 0 {
			return true
		}
		off := int(uint32(s.Seq) - first)
		for _, o := range at {
			if off <= o && o < off+s.Len() && seen[o] < k {
				seen[o]++
				return false
			}
		}
		return true
	})
}

// RFC 8985 §3.3.1, RFC 8985 §6.2: a lost segment, and its lost retransmission, are
// repaired as long as ACKs come, without a timeout.
func TestLostRetransmission(t *testing.T) {
	line := simnet.Shape{Rate: 20e6, Delay: 10 * ms}
	// A third loss would find the receiver's window full behind the hole, and
	// nothing left to send that could tell.
	for k := range 3 {
		for _, at := range [][]int{{50000}, {50000, 51500, 53000}, {30000, 60000, 90000}} {
			t.Run(fmt.Sprintf("%d times %v", k, at), func(t *testing.T) {
				upload(t, setup{to: line, from: line, boxes: []simnet.Box{lossAgain(k, at...)}}, 1e6, 1200*ms)
			})
		}
	}
}

// RFC 8985 §7: the last segment is lost and nothing follows that would tell.
func TestLostTail(t *testing.T) {
	line := simnet.Shape{Rate: 20e6, Delay: 10 * ms}
	for _, lost := range [][]int{{99000}, {97500, 99000}, {96000, 97500, 99000}} {
		t.Run(fmt.Sprint(len(lost)), func(t *testing.T) {
			// The FIN rides on the last segment; two round trips until the probe, one
			// for it, and the handshake and the data before.
			upload(t, setup{to: line, from: line, boxes: []simnet.Box{lossAgain(1, lost...)}}, 100e3, 280*ms)
		})
	}
}

// Slow start overshoots the queue, and everything it lost comes back at the
// rate of the line: no timeout, no silence.
func TestOvershoot(t *testing.T) {
	for _, c := range []struct {
		rate, n int
		rtt     time.Duration
	}{{20e6, 6 << 20, 22 * ms}, {20e6, 8 << 20, 100 * ms}, {50e6, 12 << 20, 40 * ms}, {100e6, 16 << 20, 10 * ms}} {
		for _, name := range cc.Names() {
			t.Run(fmt.Sprintf("%d Mbit, %v, %s", c.rate/1e6, c.rtt, name), func(t *testing.T) {
				f := func(f *tcp.Config) {
					f.NewController = func(k cc.Config) cc.Controller { ctl, _ := cc.New(name, k); return ctl }
				}
				line := pipe(c.rate, c.rtt)
				ideal := time.Duration(float64(c.n) * 8 / float64(c.rate) * 1e9)
				// 4 % are headers; slow start and the end take some round trips.
				w := upload(t, setup{to: line, from: line, client: f}, c.n, ideal*108/100+12*c.rtt)
				if i := w.client.stream.Conn.Info(); i.Retransmits > i.SegsSent/20 {
					t.Errorf("%d of %d segments were sent again", i.Retransmits, i.SegsSent)
				}
			})
		}
	}
}

// RFC 8985 §3.3.2: what is late is not lost. A path that reorders gets its
// bandwidth used all the same.
func TestReordering(t *testing.T) {
	for _, behind := range []time.Duration{2 * ms, 5 * ms, 20 * ms} {
		t.Run(behind.String(), func(t *testing.T) {
			line := simnet.Shape{Rate: 20e6, Delay: 20 * ms, Queue: 200e3, Reorder: 0.02, Behind: behind}
			back := simnet.Shape{Rate: 20e6, Delay: 20 * ms}
			w := upload(t, setup{to: line, from: back}, 5e6, 3500*ms)
			if i := w.client.stream.Conn.Info(); behind <= 5*ms && i.Retransmits > 200 {
				t.Errorf("%d segments were sent again for nothing", i.Retransmits)
			}
		})
	}
}

// RFC 5682 §4, RFC 3708, RFC 4015: a delay spike makes the timer run out though
// nothing is lost. The window comes back.
func TestDelaySpike(t *testing.T) {
	line := simnet.Shape{Rate: 20e6, Delay: 10 * ms, Queue: 100e3}
	w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 8 << 20})
	w.open()
	w.After(time.Second, func() {
		slow := line
		slow.Delay = 500 * ms
		w.link.Reshape(simnet.Backward, slow)
		w.After(100*ms, func() { w.link.Reshape(simnet.Backward, line) })
	})
	w.Run(900*ms, w.done)
	before := w.client.stream.Conn.Info()
	w.Run(1500*ms, w.done)
	after := w.client.stream.Conn.Info()
	if after.Cwnd < before.Cwnd*6/10 {
		t.Errorf("cwnd was %d before the spike and %d a second after", before.Cwnd, after.Cwnd)
	}
	w.verify(w.Run(time.Minute, w.done))
}

// ACKs alone are lost: data arrives, so little is sent again.
func TestLostACKs(t *testing.T) {
	line := simnet.Shape{Rate: 20e6, Delay: 10 * ms, Queue: 100e3}
	back := line
	back.Loss = 0.2
	// The very last ACK may be lost, and so may the answer to the probe for it:
	// one timeout at the end is bad luck.
	w := uploadWith(t, setup{to: line, from: back}, 5e6, 2600*ms, 1)
	if i := w.client.stream.Conn.Info(); i.Retransmits > i.SegsSent/20 {
		t.Errorf("%d of %d segments were sent again", i.Retransmits, i.SegsSent)
	}
}

// RFC 6298 §3: a repeated SYN-ACK may echo the first SYN; that is no sample.
func TestLostSYNACK(t *testing.T) {
	line := simnet.Shape{Rate: 20e6, Delay: 10 * ms, Queue: 100e3}
	lost := false
	box := simnet.Filter(func(_ mono.Time, _ simnet.Direction, s *wire.Segment) bool {
		first := s.Flags.Has(wire.SYN|wire.ACK) && !lost
		lost = lost || first
		return !first
	})
	w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 3000, boxes: []simnet.Box{box}})
	w.run(time.Minute)
	if i := w.client.stream.Conn.Info(); !lost || i.SRTT > 200*ms {
		t.Errorf("SRTT is %v", i.SRTT)
	}
}
