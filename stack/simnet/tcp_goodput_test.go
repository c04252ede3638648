package simnet_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
)

var update = flag.Bool("update", false, "rewrite the tables in testdata")

// bulk sends n bytes up over a line of the given rate, RTT and loss, with a
// queue of one bandwidth-delay product, and returns the goodput in bit/s.
func bulk(t *testing.T, seed uint64, s setup, n, rate int, rtt time.Duration, loss float64) (goodput float64, w *world) {
	queue := max(int(float64(rate)/8*rtt.Seconds()), 30000)
	s.to = simnet.Shape{Rate: rate, Delay: rtt / 2, Queue: queue, Loss: loss}
	s.from = simnet.Shape{Rate: rate, Delay: rtt / 2}
	s.up, s.bulk = n, true
	w = newWorld(t, seed, s)
	took := w.run(time.Hour)
	return float64(n) * 8 / took.Seconds(), w
}

// A clean line is filled: at least 90 % of its rate, headers, slow start and
// closing included.
func TestGoodputOfCleanLine(t *testing.T) {
	for _, c := range []struct {
		rate, n int
		rtt     time.Duration
	}{
		{10e6, 12e6, 50 * ms}, {50e6, 20e6, 20 * ms}, {100e6, 30e6, 10 * ms}, {1e9, 50e6, ms},
	} {
		for _, name := range cc.Names() {
			t.Run(fmt.Sprintf("%d Mbit, %v, %s", c.rate/1e6, c.rtt, name), func(t *testing.T) {
				f := func(f *tcp.Config) {
					f.NewController = func(k cc.Config) cc.Controller { ctl, _ := cc.New(name, k); return ctl }
				}
				got, w := bulk(t, simnet.Seed(t), setup{client: f}, c.n, c.rate, c.rtt, 0)
				i := w.client.stream.Conn.Info()
				t.Logf("%.2f Mbit/s, %.1f %%; %d segments, %d again, line dropped %d", got/1e6, got/float64(c.rate)*100,
					i.SegsSent, i.Retransmits, w.link.Stats(simnet.Forward).Dropped)
				if got < 0.9*float64(c.rate) {
					t.Errorf("goodput %.2f Mbit/s on %d Mbit/s\n%+v", got/1e6, c.rate/1e6, i)
				}
			})
		}
	}
}
