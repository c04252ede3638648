package tcp

import "testing"

// The pacing rate is in bytes per second, and somewhat above what the window
// gives; what one end has delivered, the other has received.
func TestInfoOfTransfer(t *testing.T) {
	l := pair(t, nil)
	l.transfer(1 << 20)
	a, b := l.ends[0].Conn.Info(), l.ends[1].Conn.Info()
	if rate := float64(a.Cwnd) / a.SRTT.Seconds(); a.PacingRate < rate || a.PacingRate > 3*rate {
		t.Errorf("%.0f bytes per second, the window gives %.0f", a.PacingRate, rate)
	}
	if a.Delivered != 1<<20 || a.BytesAcked != 1<<20 || b.BytesReceived != 1<<20 || a.Lost != 0 || a.Retransmits != 0 {
		t.Errorf("delivered %d, acknowledged %d, received %d, lost %d, again %d",
			a.Delivered, a.BytesAcked, b.BytesReceived, a.Lost, a.Retransmits)
	}
	if b.RcvMSS != a.MSS || b.RcvRTT == 0 || !a.Timestamps || !b.Timestamps {
		t.Errorf("the receiver: %+v", b)
	}
}
