package conn

import (
	"github.com/sennit-net/sennit/mptcp/dss"
	"github.com/sennit-net/sennit/mptcp/policy"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
)

// sending is the data level's send half (RFC 8684 §3.3.5). Numbers are data
// sequence numbers: base <= una <= nxt <= end.
type sending struct {
	base  seq.Data    // of the first byte ever
	una   seq.Data    // first byte no Data ACK covers
	nxt   seq.Data    // first byte never sent
	queue chunk.Queue // bytes from una to end
	edge  seq.Data    // the largest Data ACK plus window seen

	again    []again   // what goes out once more, first things first
	straight bool      // every byte went out at its own offset of subflow 0
	progress mono.Time // when una moved last, or sending began
	backoffs int       // of the data-level timer
	probe    bool      // a byte may go beyond the window
	finAt    mono.Time // when the DATA_FIN went out last
	limit    int       // bound of queue in bytes
}

// again is a range that is to be sent on another subflow than lost.
type again struct {
	dss.Range
	lost policy.Subflow
}

// nobody is no subflow's id.
const nobody policy.Subflow = -1

func (s *sending) init(first seq.Data) {
	s.base, s.una, s.nxt, s.edge = first, first, first, first
	s.straight = true
	s.limit = minSend
}

// end is the number after the last byte written: the DATA_FIN's.
func (s *sending) end() seq.Data { return s.una.Add(s.queue.Len()) }

// unsent is how many bytes were never sent.
func (s *sending) unsent() int { return s.queue.Len() - int(s.nxt.Sub(s.una)) }

// room is how many unsent bytes the peer's window takes (RFC 8684 §3.3.5).
func (s *sending) room() int { return int(max(0, s.edge.Sub(s.nxt))) }

// widen moves the right edge of the peer's window; it never goes back
// (RFC 8684 §3.3.4).
func (s *sending) widen(ack seq.Data, window int) {
	if e := ack.Add(window); e.After(s.edge) {
		s.edge = e
	}
}

// advance drops what is before una.
func (s *sending) advance(una seq.Data) {
	s.queue.Discard(int(una.Sub(s.una)))
	s.una = una
	if s.nxt.Before(una) {
		s.nxt = una
	}
	s.trimAgain()
}

// trimAgain drops from the reinjections what was acknowledged meanwhile.
func (s *sending) trimAgain() {
	keep := s.again[:0]
	for _, a := range s.again {
		if skip := s.una.Sub(a.DSN); skip > 0 {
			if skip >= int64(a.Len) {
				continue
			}
			a.DSN, a.Len = s.una, a.Len-int(skip)
		}
		keep = append(keep, a)
	}
	s.again = keep
}

// receiving is the data level's receive half.
type receiving struct {
	base   seq.Data // of the first byte ever
	reasm  dss.Reassembly
	queue  chunk.Queue // in order, not read yet
	total  uint64      // bytes that came in order
	window int         // bytes we are ready to hold now
	most   int         // and ever

	wide     bool // the peer's numbers had 8 octets last: so have our Data ACKs
	straight bool // every byte came at its own offset of subflow 0
	pieces   uint64

	fin        seq.Data // number of the peer's DATA_FIN
	finKnown   bool
	finReached bool // everything before it has come, or the FIN of a plain connection

	read  int       // bytes read since
	since mono.Time // this: the window's tuning period
}

func (r *receiving) init(most int) {
	r.most = most
	r.window = min(firstWindow, most)
	r.straight = true
}

// start sets the number of the first byte (RFC 8684 §3.1).
func (r *receiving) start(base seq.Data) {
	r.base = base
	r.reasm.Reset(base)
}

// next is what a Data ACK says: the next number expected, with the DATA_FIN
// counted (RFC 8684 §3.3.2, §3.3.3).
func (r *receiving) next() seq.Data {
	if r.finKnown && r.finReached {
		return r.fin.Add(1)
	}
	return r.reasm.Next()
}

// room is the receive window: data out of order lies within it.
func (r *receiving) room() int { return max(0, r.window-r.queue.Len()) }

// edge is up to where data is taken in. A sender may have seen a wider window
// on another subflow than the one we would offer now, so there is some slack;
// what lies beyond is dropped (RFC 8684 §3.8).
func (r *receiving) edge() seq.Data {
	return r.reasm.Next().Add(max(0, 2*r.most-r.queue.Len()))
}

// State is a state of the connection's own machine (RFC 8684 Appendix D).
type State uint8

// The states. While subflows are being set up a connection is M_ESTAB already
// for what concerns data.
const (
	MEstab State = iota
	MFinWait1
	MFinWait2
	MCloseWait
	MClosing
	MLastACK
	MTimeWait
	MClosed
)

var stateNames = [...]string{"M_ESTAB", "M_FIN-WAIT-1", "M_FIN-WAIT-2", "M_CLOSE-WAIT",
	"M_CLOSING", "M_LAST-ACK", "M_TIME-WAIT", "M_CLOSED"}

func (s State) String() string { return stateNames[s] }

// ending is how far either direction is closed, and by whom.
type ending struct {
	opened   bool // the first subflow stood once
	noWrite  bool // the application closed writing: DATA_FIN after the last byte
	noRead   bool // the application closed reading
	finSent  bool // our DATA_FIN went out at least once
	finAcked bool // and was acknowledged
	passive  bool // the peer's DATA_FIN came before ours went
	closing  bool // subflows are being closed
	fast     bool // MP_FASTCLOSE goes out on every RST (RFC 8684 §3.5)
	done     bool // nothing more happens at the data level
	err      error
	told     bool // ConnectionClosed was recorded
}

// both reports whether both DATA_FINs are behind us.
func (c *Conn) bothFins() bool { return c.end.finAcked && c.rcv.finReached }

// State returns the connection's state (RFC 8684 Appendix D). It follows from
// which DATA_FINs went and came.
func (c *Conn) State() State {
	e, in := &c.end, c.rcv.finReached
	switch {
	case e.done && len(c.subs) == 0:
		return MClosed
	case e.done || c.bothFins():
		return MTimeWait
	case e.finAcked:
		return MFinWait2
	case e.finSent && in && e.passive:
		return MLastACK
	case e.finSent && in:
		return MClosing
	case e.finSent:
		return MFinWait1
	case in:
		return MCloseWait
	}
	return MEstab
}
