// Package rack finds out by time which sent data is lost, and when to probe a
// silent tail: RACK and TLP of RFC 8985.
//
// It owns the arithmetic: the most recently sent delivered data, the
// reordering window and its adaptation, the probe timeout and what an answer
// to the probe says. It holds no list of what was sent, sends nothing and
// keeps no timer: those are its caller's. Data is named by stream offsets, so
// nothing wraps. Read RFC 8985 first.
package rack

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// Sent is one range of the stream with its most recent transmission
// (RFC 8985 §5.2).
type Sent struct {
	At     mono.Time // Segment.xmit_ts
	End    uint64    // Segment.end_seq
	Resent bool      // Segment.retransmitted
}

// after reports whether s was sent after t; what was sent in one instant is
// ordered by offset (RFC 8985 §6.2 step 2, RACK_sent_after).
func (s Sent) after(t Sent) bool { return s.At > t.At || s.At == t.At && s.End > t.End }

// How the reordering window adapts (RFC 8985 §6.2 step 4).
const (
	dupThresh = 3
	persist   = 16 // recoveries that a widened window lasts
)

// Detector is the RACK state of one connection (RFC 8985 §5.3). The zero value
// is ready.
type Detector struct {
	last Sent          // RACK.xmit_ts and RACK.end_seq: latest sent of the delivered
	rtt  time.Duration // RACK.rtt: how long that took
	fack uint64        // RACK.fack: highest offset delivered

	reordered bool   // RACK.reordering_seen
	wider     int    // RACK.reo_wnd_mult - 1
	lasts     int    // RACK.reo_wnd_persist
	round     uint64 // RACK.dsack_round
	inRound   bool   // whether that is set
}

// Delivered tells of a range newly acknowledged or SACKed, for each in the
// order of offsets (RFC 8985 §6.2 steps 2 and 3). old is true if the ACK's
// timestamp echo is older than the range's last transmission; minRTT is 0 while
// unknown.
func (d *Detector) Delivered(now mono.Time, s Sent, old bool, minRTT time.Duration) {
	switch {
	case s.End > d.fack:
		d.fack = s.End
	case s.End < d.fack && !s.Resent:
		d.reordered = true
	}
	rtt := now.Sub(s.At)
	if s.Resent && (old || rtt < minRTT) {
		// The ACK is for an earlier transmission.
		return
	}
	d.rtt = rtt
	if s.after(d.last) {
		d.last = s
	}
}

// Reordered reports whether reordering was ever seen.
func (d *Detector) Reordered() bool { return d.reordered }

// Duplicate tells that an ACK reported a duplicate (DSACK): a retransmission
// was spurious, so the window was too narrow. una and nxt are SND.UNA and
// SND.NXT; one round trip widens it once.
func (d *Detector) Duplicate(una, nxt uint64) {
	if d.inRound && una < d.round {
		return
	}
	d.inRound, d.round = true, nxt
	d.wider++
	d.lasts = persist
}

// RecoveryEnded tells that fast recovery or RTO recovery is over.
func (d *Detector) RecoveryEnded() {
	if d.lasts--; d.lasts <= 0 {
		d.wider, d.lasts = 0, 0
	}
}

// Window returns the reordering window (RFC 8985 §6.2 step 4): how much longer
// than what was sent later data may take. sacked is how many segments are
// SACKed.
func (d *Detector) Window(recovering bool, sacked int, minRTT, srtt time.Duration) time.Duration {
	if !d.reordered && (recovering || sacked >= dupThresh) {
		return 0
	}
	return min(time.Duration(d.wider+1)*(minRTT/4), srtt)
}

// Lost reports whether a range that is neither delivered nor marked lost is
// lost by now (RFC 8985 §6.2 step 5). If not, wait is how much longer to give
// it, 0 if nothing sent after it was delivered yet.
func (d *Detector) Lost(now mono.Time, s Sent, window time.Duration) (lost bool, wait time.Duration) {
	if d.last.At == 0 || !d.last.after(s) {
		return false, 0
	}
	if left := s.At.Add(d.rtt + window).Sub(now); left > 0 {
		return false, left
	}
	return true, 0
}

// Expired reports whether a range is lost when the retransmission timer runs
// out: the first outstanding one is, any other only if its time is up
// (RFC 8985 §6.3).
func (d *Detector) Expired(now mono.Time, s Sent, first bool, window time.Duration) bool {
	return first || s.At.Add(d.rtt+window) <= now
}
