//go:build !race

// The frozen tables are pure computation in virtual time: the race detector
// would find nothing and take ten times as long. They run without it.

package simnet_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// cell is one place in the grid of the frozen table.
type cell struct {
	rate          int // bit/s
	rtt           time.Duration
	loss, reorder float64
	buffer        float64 // of the line's queue, in bandwidth-delay products
}

// The grid. Reordered packets are held back by up to a quarter of the round trip.
func grid() (cells []cell) {
	for _, rate := range []int{1e6, 10e6, 50e6} {
		for _, rtt := range []time.Duration{10 * ms, 30 * ms, 100 * ms} {
			for _, loss := range []float64{0, 0.001, 0.01} {
				for _, reorder := range []float64{0, 0.01} {
					for _, buffer := range []float64{0.5, 1, 4} {
						if (loss == 0.001 || reorder > 0) && buffer != 1 {
							continue // the buffer matters little where it is not what drops
						}
						cells = append(cells, cell{rate, rtt, loss, reorder, buffer})
					}
				}
			}
		}
	}
	return
}

// wireShare is the share of payload in what the line carries: 1448 of 1500 bytes.
const wireShare = 1448.0 / 1500

// outcome is what one connection made of a cell.
type outcome struct {
	share    float64       // goodput after start-up, of what the line can carry
	start    float64       // time for the first second's worth of data, of the shortest possible
	resent   float64       // segments sent again, of all
	spurious int           // of these, without need
	delay    time.Duration // p99 of the time in the queue
}

// sojourn is a tail-drop queue that notes how long packets stay.
type sojourn struct {
	simnet.TailDrop
	since []mono.Time
	spent []time.Duration
}

func (q *sojourn) Push(now mono.Time, p *simnet.Packet) bool {
	ok := q.TailDrop.Push(now, p)
	if ok {
		q.since = append(q.since, now)
	}
	return ok
}

func (q *sojourn) Pop(now mono.Time) *simnet.Packet {
	p := q.TailDrop.Pop(now)
	if p != nil {
		q.spent = append(q.spent, now.Sub(q.since[0]))
		q.since = q.since[1:]
	}
	return p
}

func (q *sojourn) p99() time.Duration {
	if len(q.spent) == 0 {
		return 0
	}
	slices.Sort(q.spent)
	return q.spent[len(q.spent)*99/100]
}

// duration is how long a cell runs: start-up must not dominate, and cycles of
// BBR and sawteeth are to be seen.
func (c cell) duration() time.Duration { return 4*time.Second + 120*c.rtt }

func (c cell) run(t *testing.T, controller string) (o outcome) {
	n := simnet.New(42)
	product := float64(c.rate) / 8 * c.rtt.Seconds()
	q := &sojourn{TailDrop: simnet.TailDrop{Limit: max(int(c.buffer*product), 15000)}}
	to := simnet.Shape{Rate: c.rate, Delay: c.rtt / 2, Loss: c.loss, Reorder: c.reorder, Behind: c.rtt / 4,
		NewQueue: func() simnet.Queue { return q }}
	client, server := n.Host("client"), n.Host("server")
	link := n.ConnectBoth(client, server, to, simnet.Shape{Rate: c.rate, Delay: c.rtt / 2})
	ca, sa := netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("198.51.100.1:80")
	client.Bind(ca.Addr(), link)
	server.Bind(sa.Addr(), link)

	attach := func(h *simnet.Host, cfg tcp.Config, send int) (*simnet.Sock, *tcp.Stream, *simnet.Talker) {
		s := tcp.NewStream(cfg)
		k := h.Attach(s)
		k.Bind(0, simnet.Tuple{Local: cfg.Local, Remote: cfg.Remote})
		talk := &simnet.Talker{App: s.App(), Out: 1, In: 1, Send: send, KeepOpen: true}
		k.After = talk.Step
		return k, s, talk
	}
	var sink *simnet.Talker
	server.Unknown = func(now mono.Time, t simnet.Tuple, seg *wire.Segment) bool {
		if sink != nil {
			return false
		}
		k, s, talk := attach(server, tcp.Config{Local: t.Local, Remote: t.Remote, MTU: 1500, ISS: 77}, 0)
		sink = talk
		s.Conn.Listen()
		k.Do(func(now mono.Time) { s.Receive(now, 0, seg) })
		return true
	}
	k, s, source := attach(client, tcp.Config{Local: ca, Remote: sa, MTU: 1500, MaxSuper: 64000, ISS: 42,
		NewController: func(k cc.Config) cc.Controller { c, _ := cc.New(controller, k); return c }}, 1<<40)
	k.Do(s.Conn.Open)

	got := func() int {
		if sink == nil {
			return 0
		}
		return sink.Got
	}
	d := c.duration()
	before := 0
	n.After(d/3, func() { before = got() })
	second := int(float64(c.rate) / 8 * wireShare)
	n.Run(d, func() bool { return got() >= second })
	// Two one-way trips of the handshake, one of the data.
	o.start = n.Elapsed().Seconds() / (1 + 1.5*c.rtt.Seconds())
	n.Sleep(d - n.Elapsed())
	o.share = float64(got()-before) * 8 / (d - d/3).Seconds() / (float64(c.rate) * wireShare)
	i, st := s.Conn.Info(), link.Stats(simnet.Forward)
	o.resent = float64(i.Retransmits) / float64(max(i.SegsSent, 1))
	o.spurious = max(int(i.Retransmits)-st.Dropped-st.Lost, 0)
	o.delay = q.p99()
	if n.Err() != nil || source.Err != nil || sink != nil && sink.Err != nil {
		t.Errorf("%+v: %v %v", c, n.Err(), source.Err)
	}
	return o
}

func (o outcome) String() string {
	return fmt.Sprintf("%5.1f %6.2f %6.2f %4d %7.1f", 100*o.share, o.start, 100*o.resent, o.spurious,
		o.delay.Seconds()*1e3)
}

const tableHead = `# One TCP connection uploading without end over a line; virtual time, one seed.
# For each controller: goodput after start-up in %% of what the line can carry (the ideal: 1448 bytes of every 1500);
# time for the first second's worth of data, handshake included, as a multiple of the shortest possible;
# segments sent again in %%; how many of those needlessly; 99th percentile of the time in the queue, ms.
# Reorder: share of packets held back by up to a quarter of the RTT. Buffer: in bandwidth-delay products, at least 10 packets.
# A change is to be looked at: go test ./stack/simnet -run TestTable -update
`

// TestTable freezes what the controllers make of the grid, and holds the goals:
// CUBIC fills loss-free lines to 95 %, and BBR to 90 % at 1 % loss and 100 ms.
func TestTable(t *testing.T) {
	cells, names := grid(), cc.Names()
	rows := make([][]outcome, len(names))
	t.Run("cells", func(t *testing.T) {
		for i, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for _, c := range cells {
					rows[i] = append(rows[i], c.run(t, name))
				}
			})
		}
	})
	var b bytes.Buffer
	fmt.Fprintf(&b, tableHead+"\n%6s %4s %5s %7s %6s", "Mbit/s", "ms", "loss%", "reorder", "buffer")
	for _, name := range names {
		fmt.Fprintf(&b, " | %-32s", name+": goodput start resent sp p99")
	}
	for j, c := range cells {
		fmt.Fprintf(&b, "\n%6d %4d %5.1f %7.1f %6.1f", c.rate/1e6, c.rtt/ms, 100*c.loss, 100*c.reorder, c.buffer)
		for i := range names {
			fmt.Fprintf(&b, " | %s", rows[i][j])
		}
		for i, name := range names {
			clean := c.loss == 0 && c.reorder == 0
			goal := name == "cubic" && clean && rows[i][j].share < 0.95 ||
				name == "bbr" && c.loss == 0.01 && c.reorder == 0 && c.rtt == 100*ms && rows[i][j].share < 0.9
			if goal {
				t.Errorf("%s on %+v: goodput is %.1f %% of the possible", name, c, 100*rows[i][j].share)
			}
		}
	}
	fmt.Fprintln(&b)
	frozen(t, "tcp_grid.txt", b.Bytes())
}

// frozen compares a table with its file, or rewrites that with -update.
func frozen(t *testing.T, file string, got []byte) {
	t.Helper()
	path := filepath.Join("..", "..", "testdata", "tables", file)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g) || i >= len(w):
			t.Fatalf("%s has %d lines, is to have %d", file, len(w), len(g))
		case g[i] != w[i]:
			t.Errorf("%s:%d changed:\nis  %s\nwas %s", file, i+1, g[i], w[i])
		}
	}
}
