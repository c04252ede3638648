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
	MSS    int // sender maximum segment size in payload bytes
	Window int // initial window in bytes; 0: RFC 6928
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
	Marked     int           // bytes of these reported as CE-marked
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
