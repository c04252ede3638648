package simnet_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
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

// TestGoodputTable freezes goodput over loss and RTT. A change of it is to be
// looked at: `go test ./stack/simnet -run Table -update` writes it anew.
func TestGoodputTable(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# Goodput in Mbit/s of one TCP connection: 3 MB over 20 Mbit/s, queue one bandwidth-delay product.")
	fmt.Fprintln(&b, "# Then retransmitted segments. One seed; go test ./stack/simnet -run Table -update")
	rtts := []time.Duration{2 * ms, 20 * ms, 100 * ms, 300 * ms}
	for _, name := range cc.Names() {
		fmt.Fprintf(&b, "\n%-8s", name)
		for _, rtt := range rtts {
			fmt.Fprintf(&b, " %14s", rtt)
		}
		fmt.Fprintln(&b)
		for _, loss := range []float64{0, 0.0001, 0.001, 0.01, 0.05} {
			fmt.Fprintf(&b, "%7.2f%%", loss*100)
			for _, rtt := range rtts {
				f := func(f *tcp.Config) {
					f.NewController = func(k cc.Config) cc.Controller { ctl, _ := cc.New(name, k); return ctl }
				}
				got, w := bulk(t, 42, setup{client: f}, 3e6, 20e6, rtt, loss)
				fmt.Fprintf(&b, " %8.2f %5d", got/1e6, w.client.stream.Conn.Info().Retransmits)
			}
			fmt.Fprintln(&b)
		}
	}
	path := filepath.Join("..", "..", "testdata", "tables", "tcp_goodput.txt")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("the table changed; it is now\n%s\nand was\n%s", b.Bytes(), want)
	}
}
