// Package cc is congestion control: one small interface, and the controllers
// that fill it, each in a file of its own.
//
// A controller is told what happened and says how much may be in flight. It
// holds no pointer to the connection and reads no clock. Loss and ECN are
// events alike. Read RFC 5681, RFC 9438 and RFC 8511 first.
package cc

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// Config is what a controller starts from.
type Config struct {
	MSS    int    // sender maximum segment size in payload bytes
	Window int    // initial window in bytes; 0: RFC 6928
	NoSACK bool   // the peer does not tell which bytes arrived out of order
	Seed   uint64 // of what a controller does at random
}

// Controller decides how many bytes may be in flight.
type Controller interface {
	// Acked tells of newly acknowledged bytes, cumulative or by SACK.
	Acked(a Ack)
	// Congested tells of a congestion event, at most one per round trip.
	Congested(e Event)
	// Undo takes the last Congested back: it was spurious (RFC 5682, RFC 3522).
	Undo(now mono.Time)
	// Idle tells that the connection is about to send after d without anything
	// in flight, d longer than its retransmission timeout (RFC 5681 §4.1).
	Idle(now mono.Time, d time.Duration)
	// Window returns the congestion window and ssthresh in bytes.
	Window() (cwnd, ssthresh int)
	// Pacing returns the rate in bytes per second; 0: not paced.
	Pacing() float64
}

// Ack is what an acknowledgement brought.
type Ack struct {
	Now        mono.Time
	Bytes      int           // newly acknowledged
	InFlight   int           // bytes in flight before this ACK
	RTT        time.Duration // of this ACK's sample; 0: none
	SRTT       time.Duration // smoothed; 0: none yet
	MinRTT     time.Duration // 0: none yet
	AppLimited bool          // the window was not used up: do not grow (RFC 7661)
	Recovery   bool          // fast recovery is going on; false after a timeout, when the window grows again
	Repairing  bool          // lost data is being repaired, be it by fast recovery or after a timeout
	Marked     int           // bytes of these reported as CE-marked
	Sample     Sample
}

// Sample says what the path delivered while the newest segment acknowledged was
// under way (draft-ietf-ccwg-bbr §4.1).
type Sample struct {
	Total      uint64        // bytes delivered since the connection began
	Prior      uint64        // Total when that segment was sent
	Interval   time.Duration // time it took; 0: not to be relied on
	Lost       int           // bytes found lost since it was sent
	InFlight   int           // bytes in flight once it was sent
	AppLimited bool          // want of data, not the path, may have made it slow
}

// Delivered returns the bytes delivered in the interval.
func (s *Sample) Delivered() int { return int(s.Total - s.Prior) }

// Rate returns the delivery rate in bytes per second; 0: unknown.
func (s *Sample) Rate() float64 {
	if s.Interval <= 0 {
		return 0
	}
	return float64(s.Delivered()) / s.Interval.Seconds()
}

// Modeller is a Controller that models the path. It is told of each loss and of
// each start, and its window holds in recovery too, where the window of others
// gives way to proportional rate reduction.
type Modeller interface {
	// Lost tells of a range found lost.
	Lost(l Lost)
	// Start tells that data is about to leave while none is in flight, for want
	// of data until now. srtt is 0 if there is no sample yet.
	Start(now mono.Time, srtt time.Duration)
	// Draining reports whether the controller itself keeps the rate low, so that
	// samples of now count as limited by the application.
	Draining() bool
}

// Lost is a range found lost, all of it sent at once.
type Lost struct {
	Off        uint64 // stream offset
	Bytes      int
	Total      uint64 // bytes delivered since the connection began
	Since      int    // bytes found lost since it was sent, these included
	InFlight   int    // bytes in flight once it was sent
	AppLimited bool   // as in Sample
}

// Kind is the kind of a congestion event.
type Kind uint8

// Congestion events.
const (
	Loss    Kind = iota // by duplicate ACKs, SACK or RACK
	Timeout             // retransmission timer
	ECN                 // ECE or accurate CE feedback
)

// Event is a congestion event.
type Event struct {
	Now      mono.Time
	Kind     Kind
	InFlight int  // FlightSize when it was noticed: bytes sent and not cumulatively acknowledged
	Lost     int  // bytes taken for lost
	First    bool // for Timeout: the first for this data, not a repeated one
}
