package stack

import (
	"net/netip"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Incoming is a SYN for which there is no connection yet. It is valid only
// during the call that hands it over.
type Incoming struct {
	Link          LinkID
	Local, Remote netip.AddrPort
	// Segment stays the stack's, payload included; Machine.Receive may be given
	// it once, which takes the payload over.
	Segment *wire.Segment

	s     *Stack
	nic   *nic
	begin beginning
}

// Verdict is what becomes of an incoming SYN.
type Verdict uint8

// Verdicts.
const (
	NotMine Verdict = iota // go on looking for who wants it
	Taken                  // a connection has it, or it is to be dropped
	Refuse                 // answer with a RST
)

// SYNHook looks at every SYN that belongs to no connection before listeners
// do. It sees segments for any port. For Refuse, options (kind, length, value;
// may be nil) go onto the RST.
type SYNHook func(in *Incoming) (v Verdict, options []byte)

// HandleSYN sets the hook through which Multipath TCP gets SYNs that join an
// existing connection. It is called on the goroutine that received the packet
// and must not block. A stack has one hook; nil removes it.
func (s *Stack) HandleSYN(f SYNHook) {
	if f == nil {
		s.any.syn.Store(nil)
		return
	}
	s.any.syn.Store(&f)
}

// unexpected handles a segment without connection (RFC 9293 §3.10.7.1 and
// §3.10.7.2).
func (s *Stack) unexpected(in *Incoming) {
	seg := in.Segment
	f := seg.Flags
	if s.lingers(in) {
		return
	}
	if f.Has(wire.RST) {
		chunk.ReleaseAll(seg.Payload)
		return
	}
	if f.Has(wire.SYN) && !f.Has(wire.ACK) && s.welcome(in) {
		return
	}
	if f&(wire.SYN|wire.ACK) == wire.ACK && s.recall(in) {
		return
	}
	s.refuse(in, nil)
}

// welcome offers a SYN around; false: nobody wanted it.
func (s *Stack) welcome(in *Incoming) bool {
	if hook := s.any.syn.Load(); hook != nil {
		v, options := (*hook)(in)
		switch v {
		case Taken:
			return true
		case Refuse:
			s.refuse(in, options)
			return true
		}
	}
	if l := s.tcp.listener(in.Local); l != nil {
		l.incoming(in)
		return true
	}
	return s.any.request(in)
}

// refuse answers a segment with the RST of the CLOSED state, with extra
// options, and drops its payload.
func (s *Stack) refuse(in *Incoming, options []byte) {
	var out wire.Segment
	out.Reset()
	ok := tcp.ResetFor(in.Segment, &out)
	in.Drop()
	if !ok {
		return
	}
	if len(options) > 0 {
		out.SetOther(options)
	}
	s.counters.ResetsSent.Add(1)
	s.sendLoose(in.nic, in.Local, in.Remote, &out)
}

// Took notes that the payload went to a machine.
func (in *Incoming) Took() {
	clear(in.Segment.Payload)
	in.Segment.Payload = in.Segment.Payload[:0]
}

// Drop gives the payload of the segment back.
func (in *Incoming) Drop() {
	chunk.ReleaseAll(in.Segment.Payload)
	in.Segment.Payload = in.Segment.Payload[:0]
}
