// Package ecn holds Explicit Congestion Notification as value state machines.
//
// It owns the code points of the IP header; negotiation, receiver feedback and
// path validation come to live here too. It imports nothing and touches no
// packet. Read RFC 3168 first.
package ecn

// Codepoint is the two-bit ECN field of an IP header (RFC 3168 §5).
type Codepoint uint8

// The four code points (RFC 3168 §5, figure 1).
const (
	NotECT Codepoint = 0b00
	ECT1   Codepoint = 0b01
	ECT0   Codepoint = 0b10
	CE     Codepoint = 0b11
)

var names = [4]string{"Not-ECT", "ECT(1)", "ECT(0)", "CE"}

func (c Codepoint) String() string { return names[c&3] }

// FromTOS extracts the code point from an IPv4 TOS or IPv6 traffic-class byte.
func FromTOS(tos uint8) Codepoint { return Codepoint(tos & 3) }

// OnTOS returns tos with its code point replaced by c and the DSCP untouched.
func (c Codepoint) OnTOS(tos uint8) uint8 { return tos&^3 | uint8(c&3) }
