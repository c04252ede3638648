package stack_test

import (
	"io"
	"testing"

	"github.com/sennit-net/sennit/tun/tuntest"
)

// RFC 5681 §4.2: segments that are there at once are acknowledged once; each
// second one at least where they come apart.
// RFC 9293 §3.10.7.4 (MUST-58, MUST-59).
func TestBatchIsAcknowledgedOnce(t *testing.T) {
	const segments = 8 // within the initial window
	// All arrive at the same instant; or, at 1 Mbit/s, 12 ms apart.
	for _, c := range []struct {
		rate        int64
		least, most uint64
	}{{0, 1, 1}, {1e6, segments / 2, segments}} {
		inBubble(t, tuntest.PipeOptions{Rate: c.rate}, func(t *testing.T, p *pair) {
			c1, s := p.connect(t, addrB4)
			sent := &p.b.Counters().SegmentsSent
			before := sent.Load()
			payload := segments * 1448
			done := make(chan error)
			go func() {
				_, err := io.ReadFull(s, make([]byte, payload))
				done <- err
			}()
			if _, err := c1.Write(make([]byte, payload)); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if n := sent.Load() - before; n < c.least || n > c.most {
				t.Errorf("rate %d: %d acknowledgments for %d segments, want %d to %d",
					c.rate, n, segments, c.least, c.most)
			}
		})
	}
}
