package conn

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/simnet"
)

// Two fast paths let subflows come up and then take every DSS away from what
// the server sends; the slow path is sound. What the fast ones swallowed must
// reach the slow one in the end (RFC 8684 §3.7: a subflow whose options get
// lost is reset), however often new subflows come up over the fast ones.
func TestDataLeavesPathsThatSwallowIt(t *testing.T) {
	fast := simnet.Shape{Rate: 50e6, Queue: 300_000}
	w := newWorld(t, setup{
		up: 1000, down: 700_000, super: 64_000,
		paths: []simnet.Shape{{Rate: 5e6, Delay: 150 * time.Millisecond, Queue: 300_000}, fast, fast},
		boxes: [][]simnet.Box{nil,
			{oneWay(simnet.Backward, simnet.Later, 391*time.Millisecond)},
			{oneWay(simnet.Backward, simnet.Later, 2*time.Millisecond)}},
	})
	w.dial()
	w.run(2 * time.Minute)
	w.finish()
}
