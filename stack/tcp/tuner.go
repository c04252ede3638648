package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// WindowTuner grows a receive window with what its reader consumes per round
// trip, so that the window is never what limits a transfer, and an idle
// connection pledges little memory.
type WindowTuner struct {
	window int
	most   int
	begun  mono.Time // of the current round
	bytes  int       // consumed in it
	before int       // consumed in the round before
}

// initialWindow is the window in bytes before anything is known.
const initialWindow = 64 << 10

// NewWindowTuner returns a tuner that never exceeds most bytes.
func NewWindowTuner(most int) WindowTuner {
	return WindowTuner{window: min(initialWindow, most), most: most}
}

// Window returns the window in bytes; it never shrinks.
func (t *WindowTuner) Window() int { return t.window }

// SetMax changes the bound. What was granted stays granted.
func (t *WindowTuner) SetMax(most int) { t.most = most }

// Consumed notes that the reader took n bytes. rtt is the round trip as known;
// 0 if not.
//
// A sender in slow start doubles per round trip, and what is consumed in one
// round was sent in the round before: when this round's reading shows, twice as
// much is under way already, and as much again will be before the next shows.
// So twice what was read, and eight times by how much that grew.
func (t *WindowTuner) Consumed(now mono.Time, n int, rtt time.Duration) {
	if t.begun == 0 {
		t.begun = now
	}
	t.bytes += n
	if rtt <= 0 || now.Sub(t.begun) < rtt {
		return
	}
	if t.bytes > t.before {
		grown := t.bytes - t.before
		if t.before == 0 {
			grown = 0
		}
		want := 2*t.bytes + 8*min(grown, t.bytes) + 16*1460
		t.window = max(t.window, min(want, t.most))
		t.before = t.bytes
	}
	t.begun, t.bytes = now, 0
}

// receiveRTT is the round trip as far as the receiver of data can tell.
func (c *Conn) receiveRTT() time.Duration {
	if r := c.rcv.rtt.srtt; r > 0 {
		if s := c.rtt.SRTT(); s > 0 {
			return min(r, s)
		}
		return r
	}
	return c.rtt.SRTT()
}
