package option

import (
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// Reason is why an option was ignored.
type Reason uint8

// Reasons. Fine is none.
const (
	Fine           Reason = iota
	WrongLength           // not a length of this subtype, or not of this form
	WrongPlace            // on a segment that must not carry it
	OldVersion            // MP_CAPABLE of version 0
	Repeated              // a second one in the same segment
	UnknownSubtype        // not defined, or 0xf: experimental (RFC 8684 §7.2)
	NReasons
)

var reasonNames = [...]string{"fine", "wrong length", "wrong place", "old version", "repeated",
	"unknown subtype"}

func (r Reason) String() string { return reasonNames[r] }

// MaxAddAddrs is how many ADD_ADDR fit into one segment.
const MaxAddAddrs = 5

// Set is the MPTCP options of one segment. A field means something only where
// Has says so. It is made to be reused: ParseAll allocates nothing.
type Set struct {
	has uint16 // one bit per subtype

	Capable   MPCapable
	Join      MPJoin
	DSS       DSS
	Remove    RemoveAddr
	Prio      MPPrio
	Fail      MPFail
	Fastclose Fastclose
	Reset     TCPReset
	addrs     [MaxAddAddrs]AddAddr
	nAddrs    uint8

	// SumWrong tells that a DSS mapping has a checksum though none was
	// negotiated, or none though it was (RFC 8684 §3.3.1: reset the subflow).
	SumWrong bool
	// Ignored counts the options that were ignored, by reason.
	Ignored [NReasons]uint8
}

// Has reports whether the segment has a well-formed option of this subtype.
func (s *Set) Has(t Subtype) bool { return s.has&(1<<t) != 0 }

// Any reports whether the segment has any well-formed MPTCP option.
func (s *Set) Any() bool { return s.has != 0 }

// AddAddrs returns the ADD_ADDR options, in order.
func (s *Set) AddAddrs() []AddAddr { return s.addrs[:s.nAddrs] }

// ParseAll fills s with the MPTCP options of seg. checksum tells whether
// checksums were negotiated.
func ParseAll(seg *wire.Segment, checksum bool, s *Set) {
	s.has, s.nAddrs, s.SumWrong = 0, 0, false
	s.Ignored = [NReasons]uint8{}
	list := seg.Other()
	for {
		kind, value, rest, ok := wire.NextOption(list)
		if !ok {
			break
		}
		if kind == Kind {
			s.Ignored[s.Parse(value, seg.Flags)]++
		}
		list = rest
	}
	s.Ignored[Fine] = 0
	s.SumWrong = s.Has(SubDSS) && s.DSS.HasMap && !s.DSS.Infinite() && s.DSS.HasSum != checksum
}

// Parse reads one option into s: value is what follows kind and length, flags
// are the segment's. The first of a subtype in a segment counts; only ADD_ADDR
// may come several times.
func (s *Set) Parse(value []byte, flags wire.Flags) Reason {
	if len(value) == 0 {
		return WrongLength
	}
	t := Subtype(value[0] >> 4)
	switch {
	case t >= nSubtypes:
		// RFC 8684 §3: an unknown subtype is ignored.
		return UnknownSubtype
	case !allowed(t, flags):
		return WrongPlace
	case t == SubAddAddr:
		return s.parseAddAddr(value)
	case s.Has(t):
		return Repeated
	}
	r := s.parse(t, value, flags)
	if r == Fine {
		s.has |= 1 << t
	}
	return r
}

// allowed reports whether a segment with these flags may carry the subtype:
// only the handshake options are on a SYN, and MP_TCPRST is on a RST only
// (RFC 8684 §3.6).
func allowed(t Subtype, f wire.Flags) bool {
	switch t {
	case SubCapable, SubJoin:
		return !f.Has(wire.RST)
	case SubTCPReset:
		return f.Has(wire.RST)
	}
	return !f.Has(wire.SYN)
}

func (s *Set) parse(t Subtype, v []byte, flags wire.Flags) Reason {
	if n := fixedLen[t]; n != 0 && len(v)+2 != n {
		return WrongLength
	}
	switch t {
	case SubCapable:
		return parseCapable(v, formOf(flags), &s.Capable)
	case SubJoin:
		return parseJoin(v, formOf(flags), &s.Join)
	case SubDSS:
		return parseDSS(v, &s.DSS)
	case SubRemove:
		return parseRemove(v, &s.Remove)
	// The reserved bits of the rest are not looked at (RFC 8684 §3.3.8, §3.5,
	// §3.6, §3.7).
	case SubPrio:
		s.Prio.Backup = v[0]&1 != 0
	case SubFail:
		s.Fail.DSN = seq.Data(be.Uint64(v[2:]))
	case SubFastclose:
		s.Fastclose.Key = be.Uint64(v[2:])
	case SubTCPReset:
		s.Reset = TCPReset{Transient: v[0]&1 != 0, Reason: ResetReason(v[1])}
	}
	return Fine
}

// fixedLen is the length of the options that have only one.
var fixedLen = [nSubtypes]int{SubPrio: 3, SubFail: 12, SubFastclose: 12, SubTCPReset: 4}

func (s *Set) parseAddAddr(v []byte) Reason {
	if s.nAddrs == MaxAddAddrs {
		return Repeated
	}
	r := parseAddAddr(v, &s.addrs[s.nAddrs])
	if r == Fine {
		s.nAddrs++
		s.has |= 1 << SubAddAddr
	}
	return r
}
