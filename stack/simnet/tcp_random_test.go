package simnet_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/simnet"
	"github.com/sennit-net/sennit/stack/tcp"
)

// TestAnything draws links, tunings and amounts at random: the bytes arrive,
// in order, once, and both ends close.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.Custom(drawShape)
		amount := rapid.OneOf(rapid.IntRange(0, 5000), rapid.IntRange(0, 300e3), rapid.SampledFrom([]int{1e6, 2e6}))
		s := setup{
			to: shape.Draw(t, "to"), from: shape.Draw(t, "from"),
			up: amount.Draw(t, "up"), down: amount.Draw(t, "down"),
			v6:     rapid.Bool().Draw(t, "v6"),
			client: drawConfig(t, "client"), server: drawConfig(t, "server"),
			join: time.Duration(rapid.Int64Range(0, int64(5*ms)).Draw(t, "join")),
		}
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"), s)
		w.run(time.Hour)
	})
}

func drawShape(t *rapid.T) simnet.Shape {
	share := func(name string, most float64) float64 {
		if rapid.Bool().Draw(t, name+" off") {
			return 0
		}
		return rapid.Float64Range(0, most).Draw(t, name)
	}
	span := func(name string, most time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, name))
	}
	return simnet.Shape{
		Rate:    rapid.SampledFrom([]int{0, 1e6, 10e6, 1e9}).Draw(t, "rate"),
		Delay:   span("delay", 300*ms),
		Queue:   rapid.SampledFrom([]int{0, 10e3, 50e3, 1e6}).Draw(t, "queue"),
		Loss:    share("loss", 0.15),
		Corrupt: share("corrupt", 0.05), Duplicate: share("duplicate", 0.3),
		Jitter:  span("jitter", 50*ms),
		Reorder: share("reorder", 0.3), Behind: span("behind", 300*ms),
	}
}

func drawConfig(t *rapid.T, who string) func(*tcp.Config) {
	draw := func(name string) bool { return rapid.Bool().Draw(t, who+" "+name) }
	var (
		iss   = rapid.Uint32().Draw(t, who+" ISS")
		super = rapid.SampledFrom([]int{0, 2000, 10000, 64000}).Draw(t, who+" super")
		mtu   = rapid.SampledFrom([]int{1500, 576, 1280, 9000}).Draw(t, who+" MTU")
		wnd   = rapid.SampledFrom([]int{0, 5000, 65535, 1 << 20}).Draw(t, who+" window")
		snd   = rapid.SampledFrom([]int{0, 3000, 100000}).Draw(t, who+" send buffer")
		reno  = draw("newreno")
		tun   = tcp.Tuning{NoDelay: draw("nodelay"), NoSACK: draw("no SACK"), NoTimestamps: draw("no timestamps"), NoRACK: draw("no RACK"),
			NoWindowScale: draw("no scale"), MaxWindow: wnd, SendBuffer: snd}
	)
	return func(c *tcp.Config) {
		c.ISS, c.MaxSuper, c.MTU, c.Tuning = seq.Num(iss), super, mtu, tun
		if reno {
			c.NewController = cc.NewReno
		}
	}
}
