//go:build !race

package simnet_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// share lets two connections upload over one line, the second some seconds
// later, and returns what each got in the second half, in bit/s.
func share(t *testing.T, names [2]string, rate int, rtt time.Duration, buffer float64) (got [2]float64) {
	n := simnet.New(42)
	client, server := n.Host("client"), n.Host("server")
	queue := int(buffer * float64(rate) / 8 * rtt.Seconds())
	link := n.ConnectBoth(client, server, simnet.Shape{Rate: rate, Delay: rtt / 2, Queue: queue}, simnet.Shape{Delay: rtt / 2})
	ca, sa := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	client.Bind(ca, link)
	server.Bind(sa, link)
	attach := func(h *simnet.Host, cfg tcp.Config, send int) (*simnet.Sock, *tcp.Stream, *simnet.Talker) {
		s := tcp.NewStream(cfg)
		k := h.Attach(s)
		k.Bind(0, simnet.Tuple{Local: cfg.Local, Remote: cfg.Remote})
		talk := &simnet.Talker{App: s.App(), Out: 1, In: 1, Send: send, KeepOpen: true}
		k.After = talk.Step
		return k, s, talk
	}
	sinks := map[uint16]*simnet.Talker{}
	server.Unknown = func(now mono.Time, tp simnet.Tuple, seg *wire.Segment) bool {
		k, s, talk := attach(server, tcp.Config{Local: tp.Local, Remote: tp.Remote, MTU: 1500, ISS: 77}, 0)
		sinks[tp.Remote.Port()] = talk
		s.Conn.Listen()
		k.Do(func(now mono.Time) { s.Receive(now, 0, seg) })
		return true
	}
	const run = 60 * time.Second
	for i, name := range names {
		port := uint16(1000 + i)
		n.After(time.Duration(i)*3*time.Second+1, func() {
			k, s, _ := attach(client, tcp.Config{Local: netip.AddrPortFrom(ca, port), Remote: netip.AddrPortFrom(sa, 80),
				MTU: 1500, MaxSuper: 64000, ISS: seq.Num(42 + i),
				NewController: func(k cc.Config) cc.Controller { c, _ := cc.New(name, k); return c }}, 1<<40)
			k.Do(s.Conn.Open)
		})
	}
	n.Sleep(run / 2)
	var before [2]int
	for i := range before {
		before[i] = sinks[uint16(1000+i)].Got
	}
	n.Sleep(run / 2)
	for i := range got {
		got[i] = float64(sinks[uint16(1000+i)].Got-before[i]) * 8 / (run / 2).Seconds()
	}
	if n.Err() != nil {
		t.Fatal(n.Err())
	}
	return got
}

// RFC 5033: how each controller shares a line with itself and with the others,
// as a frozen table. Two of a kind have to be fair: Jain's index at least 0.9.
func TestFairness(t *testing.T) {
	const rate = 20e6
	var b bytes.Buffer
	fmt.Fprintln(&b, "# Two uploads over one line of 20 Mbit/s, 40 ms, the second begun 3 s after the first: shares of the line in %")
	fmt.Fprintln(&b, "# from 30 s to 60 s, and Jain's index (1: equal; 0.5: one has all). Buffer in bandwidth-delay products.")
	fmt.Fprintln(&b, "# go test ./stack/simnet -run TestFairness -update")
	for _, buffer := range []float64{1, 4} {
		fmt.Fprintf(&b, "\n%-8s %-8s buffer  first second  Jain\n", "first", "second")
		for _, first := range cc.Names() {
			for _, second := range cc.Names() {
				g := share(t, [2]string{first, second}, rate, 40*ms, buffer)
				sum := g[0] + g[1]
				jain := sum * sum / (2 * (g[0]*g[0] + g[1]*g[1]))
				fmt.Fprintf(&b, "%-8s %-8s %6.1f  %5.1f  %5.1f  %.3f\n", first, second, buffer,
					100*g[0]/rate/wireShare, 100*g[1]/rate/wireShare, jain)
				if first == second && jain < 0.9 {
					t.Errorf("two of %s with a buffer of %g share %.1f to %.1f Mbit/s", first, buffer, g[0]/1e6, g[1]/1e6)
				}
				if sum < 0.9*rate*wireShare {
					t.Errorf("%s and %s together get %.1f Mbit/s", first, second, sum/1e6)
				}
			}
		}
	}
	frozen(t, "tcp_fairness.txt", b.Bytes())
}
