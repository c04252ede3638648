package simnet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
)

// RFC 4821 §7.7, RFC 4821 §7.3, RFC 8899 §4.3: a path that drops big packets and says
// nothing. Data gets through within three timeouts, and the size that the path
// does carry is found, also from super-segments, whose probes leave alone.
func TestMTUBlackHole(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, mtu := range []int{1280, 1400, 1492} {
			for _, super := range []int{0, 64000} {
				t.Run(fmt.Sprintf("v6 %v %d super %d", v6, mtu, super), func(t *testing.T) {
					line := simnet.Shape{Rate: 50e6, Delay: 10 * ms, Queue: 200e3, MTU: mtu, Mute: true}
					var r sizes
					s := setup{to: line, from: line, up: 20e6, bulk: true, v6: v6,
						client: func(c *tcp.Config) { c.MaxSuper, c.Recorder = super, &r }}
					w := newWorld(t, simnet.Seed(t), s)
					w.open()
					w.Run(1800*ms, func() bool { return w.client.stream.Conn.Info().BytesAcked > 0 })
					if w.client.stream.Conn.Info().BytesAcked == 0 {
						t.Errorf("nothing got through in %v", w.Elapsed())
					}
					ok := w.Run(2*time.Minute, w.done)
					w.verify(ok)
					i := w.client.stream.Conn.Info()
					if i.MTU > mtu || i.MTU < mtu-16 {
						t.Errorf("found a path MTU of %d, it is %d", i.MTU, mtu)
					}
					// RFC 8899 §5.1.2: three probes of a size, then another; RFC 4821 §7.3:
					// it ends.
					if len(r.list) < 4 || r.list[0] != 1500 || r.list[2] != 1500 || r.list[3] == 1500 || len(r.list) > 30 {
						t.Errorf("probed %v", r.list)
					}
					t.Logf("%v, MTU %d, %d of %d segments again", w.Elapsed(), i.MTU, i.Retransmits, i.SegsSent)
				})
			}
		}
	}
}

// sizes notes what was probed.
type sizes struct {
	probes, reduced int
	list            []int
}

func (r *sizes) Record(_ mono.Time, e tcp.Event) {
	switch e := e.(type) {
	case tcp.PathProbe:
		r.probes++
		r.list = append(r.list, e.Size)
	case tcp.MTUReduced:
		r.reduced++
	}
}

// RFC 4821 §7.3: an outage looks like a black hole; afterwards the first probe
// finds that it was none, and no more are sent.
func TestOutageIsNoBlackHole(t *testing.T) {
	line := simnet.Shape{Rate: 50e6, Delay: 10 * ms, Queue: 200e3}
	var r sizes
	w := newWorld(t, simnet.Seed(t), setup{to: line, from: line, up: 10e6, bulk: true,
		client: func(c *tcp.Config) { c.Recorder = &r }})
	w.open()
	w.Sleep(300 * ms)
	w.link.Silence(true)
	w.Sleep(5 * time.Second)
	w.link.Silence(false)
	w.verify(w.Run(time.Minute, w.done))
	if i := w.client.stream.Conn.Info(); i.MTU != 1500 || r.reduced == 0 || r.probes > 3 {
		t.Errorf("MTU %d after %d reductions and %d probes", i.MTU, r.reduced, r.probes)
	}
}

// RFC 1191 §6.5, RFC 8201 §4: a router that says what fits: no timeout.
func TestPathMTUSmallerMidway(t *testing.T) {
	for _, mtu := range []int{1300, 1492} {
		line := simnet.Shape{Rate: 50e6, Delay: 10 * ms, Queue: 200e3, MTU: mtu}
		upload(t, setup{to: line, from: line, client: func(c *tcp.Config) { c.MTU = 1500 },
			server: func(c *tcp.Config) { c.MTU = 1500 }}, 5e6, 1500*ms)
	}
}
