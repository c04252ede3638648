// Package option is the wire format of MPTCP: the nine subtypes of TCP option
// kind 30, as values that parse from bytes and append themselves to bytes.
//
// It knows lengths, flags and places (which option may be on a SYN), and no
// state: whether a token is known or an HMAC is right is decided elsewhere.
// What is malformed is counted by reason and otherwise ignored. Read
// RFC 8684 §3 first, with the figures 4 to 16.
package option

import (
	"encoding/binary"

	"github.com/sennit-net/sennit/stack/wire"
)

// Kind is the TCP option kind of MPTCP (RFC 8684 §7.1).
const Kind = 30

// Version is the only MPTCP version spoken here (RFC 8684 §3.1).
const Version = 1

// Subtype is the high nibble of the third octet of the option
// (RFC 8684 §7.2).
type Subtype uint8

// The subtypes.
const (
	SubCapable   Subtype = 0x0 // MP_CAPABLE
	SubJoin      Subtype = 0x1 // MP_JOIN
	SubDSS       Subtype = 0x2 // DSS
	SubAddAddr   Subtype = 0x3 // ADD_ADDR
	SubRemove    Subtype = 0x4 // REMOVE_ADDR
	SubPrio      Subtype = 0x5 // MP_PRIO
	SubFail      Subtype = 0x6 // MP_FAIL
	SubFastclose Subtype = 0x7 // MP_FASTCLOSE
	SubTCPReset  Subtype = 0x8 // MP_TCPRST
	nSubtypes            = 9
)

var subtypeNames = [...]string{"MP_CAPABLE", "MP_JOIN", "DSS", "ADD_ADDR", "REMOVE_ADDR",
	"MP_PRIO", "MP_FAIL", "MP_FASTCLOSE", "MP_TCPRST"}

func (s Subtype) String() string {
	if int(s) < len(subtypeNames) {
		return subtypeNames[s]
	}
	return "unknown"
}

// Form is which packet of a handshake an MP_CAPABLE or MP_JOIN belongs to, and
// with that its layout.
type Form uint8

// Forms. OnData is of MP_CAPABLE only: it maps the first data.
const (
	OnSYN Form = iota
	OnSYNACK
	OnACK
	OnData
)

// formOf returns the form that the flags of a segment call for.
func formOf(f wire.Flags) Form {
	switch {
	case f.Has(wire.SYN | wire.ACK):
		return OnSYNACK
	case f.Has(wire.SYN):
		return OnSYN
	}
	return OnACK
}

// head appends kind, length, subtype with its low nibble.
func head(b []byte, n int, s Subtype, low byte) []byte {
	return append(b, Kind, byte(n), byte(s)<<4|low)
}

// boolBit returns bit if on, else 0.
func boolBit(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

var be = binary.BigEndian
