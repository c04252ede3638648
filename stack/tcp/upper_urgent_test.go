package tcp_test

import (
	"strings"
	"testing"

	"github.com/sennit-net/sennit/stack/wire"
)

// RFC 8684 §3.3.1: an Upper such as a subflow's gets what a peer calls urgent in
// line with the rest, and nothing of its own is ever sent as urgent.
func TestUrgentBelowAnUpper(t *testing.T) {
	u := &upper{}
	c := over(t, u)
	emitted(c)
	u.log = nil
	s := segment(wire.ACK|wire.URG, 100, 100, 10)
	s.Urgent = 5
	c.Receive(now, s)
	c.Receive(now, segment(wire.ACK, 110, 100, 2000))
	if got := strings.Join(u.log, "; "); !strings.Contains(got, "deliver 0+10") || !strings.Contains(got, "deliver 10+2000") {
		t.Errorf("the Upper heard %s", got)
	}
	u.pieces = []int{100}
	var out wire.Segment
	for n := 0; c.Emit(now, &out); n++ {
		if out.Flags.Has(wire.URG) || out.Urgent != 0 {
			t.Errorf("sent %v with urgent pointer %d", out.Flags, out.Urgent)
		}
		for _, r := range out.Payload {
			r.Release()
		}
	}
}
