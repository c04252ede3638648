package tcp

import (
	"io"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// Stream is a plain TCP connection: an App over the Conn whose Upper it is.
type Stream struct {
	Conn *Conn // for what only a connection has: Open, Listen, Info

	conn  Conn
	in    chunk.Queue // received, not read
	out   chunk.Queue // written, not taken by the connection
	tuner WindowTuner

	charged int  // to the shared budget
	opened  bool // handshake done
	eof     bool // the peer's FIN was reached
	noRead  bool // the application closed reading
	noWrite bool // the application closed writing
}

// NewStream makes a plain connection in CLOSED. cfg.Upper is ignored.
func NewStream(cfg Config) *Stream {
	s := &Stream{}
	cfg.Upper = s
	s.conn.init(cfg)
	s.Conn = &s.conn
	s.tuner = NewWindowTuner(s.conn.maxWindow())
	return s
}

// Receive, Control, Advance, Emit and Deadline are the Conn's; sub is always 0.
func (s *Stream) Receive(now mono.Time, _ int, seg *wire.Segment) {
	s.conn.Receive(now, seg)
	s.account()
}

// Control takes an ICMP error.
func (s *Stream) Control(now mono.Time, _ int, e PathError) { s.conn.Control(now, e) }

// Advance lets deadlines have their effect.
func (s *Stream) Advance(now mono.Time) { s.conn.Advance(now) }

// Emit writes the next segment into seg and reports whether there is one.
func (s *Stream) Emit(now mono.Time, seg *wire.Segment) (int, bool) {
	return 0, s.conn.Emit(now, seg)
}

// Deadline returns when Advance wants to be called; 0 is never.
func (s *Stream) Deadline() mono.Time { return s.conn.Deadline() }

// App returns the application's side.
func (s *Stream) App() App { return s }

// Read implements App.
func (s *Stream) Read(now mono.Time, p []byte) (int, error) {
	if n := s.in.Read(p); n > 0 || len(p) == 0 {
		if !s.conn.cfg.Budget.Tight() {
			s.tuner.Consumed(now, n, s.conn.receiveRTT())
		}
		s.account()
		return n, nil
	}
	switch {
	case s.eof || s.noRead:
		return 0, io.EOF
	case s.conn.life.over:
		return 0, s.whyEnded()
	}
	return 0, ErrWouldBlock
}

// Write implements App.
func (s *Stream) Write(_ mono.Time, p []byte) (int, error) {
	switch {
	case s.noWrite:
		return 0, ErrClosed
	case s.conn.life.over:
		return 0, s.whyEnded()
	}
	n := min(len(p), s.room())
	if n > 0 {
		s.out.Append(p[:n])
		s.account()
	}
	if n < len(p) {
		return n, ErrWouldBlock
	}
	return n, nil
}

func (s *Stream) whyEnded() error {
	if err := s.conn.life.err; err != nil {
		return err
	}
	return ErrClosed
}

// Bounds of the send buffer in bytes.
const (
	minSendBuffer = 64 << 10
	maxSendBuffer = 32 << 20
)

// buffer is the send buffer's size: twice what may be in flight, so that a
// window's worth is ready when a window's worth is acknowledged. What waits for
// a hole at the peer has left the network and comes on top: a retransmission
// that is lost again must not silence the sender.
func (s *Stream) buffer() int {
	if n := s.conn.cfg.SendBuffer; n > 0 {
		return s.conn.cfg.Budget.Grant(n, budgetFloor)
	}
	n := minSendBuffer
	if s.conn.cc != nil {
		n += 2*s.conn.cwnd() + s.conn.snd.spans.sacked
	}
	return s.conn.cfg.Budget.Grant(min(n, maxSendBuffer), budgetFloor)
}

// room is how many bytes Write takes now.
func (s *Stream) room() int {
	return max(s.buffer()-s.out.Len()-s.conn.snd.unacked(), 0)
}

// Shutdown implements App. Bytes that arrived and were not read, or that
// arrive later, are answered with a RST once both directions are closed
// (RFC 9293 §3.6.1, SHLD-3).
func (s *Stream) Shutdown(now mono.Time, how How) {
	unread := s.in.Len() > 0
	if how&CloseReading != 0 {
		s.noRead = true
		s.in.Clear()
		s.account()
	}
	if how&CloseWriting != 0 && !s.noWrite {
		s.noWrite = true
		s.conn.CloseWrite(now)
	}
	if s.noRead && s.noWrite {
		if unread {
			s.conn.Abort(now)
			return
		}
		s.conn.Close(now)
	}
}

// Abort implements App.
func (s *Stream) Abort(now mono.Time) {
	s.noRead, s.noWrite = true, true
	s.conn.Abort(now)
	s.in.Clear()
	s.account()
}

// Ready implements App.
func (s *Stream) Ready() Readiness {
	var r Readiness
	over := s.conn.life.over
	if s.in.Len() > 0 || s.eof || s.noRead || over {
		r |= Readable
	}
	// A third of the buffer: waking a writer for less is not worth it.
	if over || s.noWrite || (s.opened && 3*s.room() >= s.buffer()) {
		r |= Writable
	}
	if s.opened {
		r |= Opened
	}
	if s.conn.Finished() {
		r |= Ended
	}
	return r
}

// Tune implements App.
func (s *Stream) Tune(now mono.Time, t Tuning) {
	s.conn.Tune(now, t)
	s.tuner.SetMax(s.conn.maxWindow())
}

// Pending implements Source.
func (s *Stream) Pending(mono.Time) int { return s.out.Len() }

// Next implements Source. Small writes are joined here: the queue holds bytes,
// not writes.
func (s *Stream) Next(_ mono.Time, _ uint64, limit int, dst []chunk.Slice) []chunk.Slice {
	return s.out.Take(dst, min(limit, s.out.Len()))
}

// Acked implements Source.
func (s *Stream) Acked(mono.Time, uint64) {}

// collapse is up to which size what was received is copied together: a packet
// of a few bytes would pin the memory of a whole one.
const collapse = 256

// Deliver implements Sink.
func (s *Stream) Deliver(_ mono.Time, _ uint64, runs []chunk.Slice) {
	for _, r := range runs {
		if s.noRead {
			r.Release()
			continue
		}
		if r.Len() <= collapse {
			s.in.Append(r.B)
			r.Release()
			continue
		}
		s.in.Push(r)
	}
}

// Window implements Sink.
func (s *Stream) Window() int {
	return s.conn.cfg.Budget.Grant(s.tuner.Window()-s.in.Len(), budgetFloor)
}

// AppendOptions implements Optioner.
func (s *Stream) AppendOptions(_ mono.Time, _ Outgoing, _ int, b []byte) []byte { return b }

// Received implements Optioner.
func (s *Stream) Received(mono.Time, Incoming) Verdict { return Proceed }

// Changed implements Upper.
func (s *Stream) Changed(_ mono.Time, e Change) {
	switch e {
	case Established:
		s.opened = true
	case PeerClosed:
		s.eof = true
	case Closed:
		s.out.Clear()
		s.account()
	}
}
