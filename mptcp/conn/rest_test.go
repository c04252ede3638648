package conn

import (
	"testing"
	"time"
)

// A connection that rests whenever it likes carries its data all the same, and
// holds nothing for reuse afterwards.
func TestRest(t *testing.T) {
	w := newWorld(t, setup{up: 400_000, down: 400_000})
	w.dial()
	for range 40 {
		w.Sleep(10 * time.Millisecond)
		for _, s := range []*side{&w.client, &w.server} {
			if s.conn != nil {
				s.conn.Rest()
			}
		}
	}
	w.run(time.Minute)
	w.client.conn.Rest()
	if k := &w.client.conn.work; k.runs != nil || k.order != nil || k.snaps != nil || k.ranges != nil || k.cmds != nil {
		t.Error("scratch memory is kept")
	}
	w.finish()
}
