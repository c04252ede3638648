package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

type Stream struct{ Conn *Conn }

func NewStream(cfg Config) *Stream                                  { return &Stream{NewConn(cfg)} }
func (s *Stream) Receive(now mono.Time, sub int, seg *wire.Segment) {}
func (s *Stream) Control(now mono.Time, sub int, e PathError)       {}
func (s *Stream) Advance(now mono.Time)                             {}
func (s *Stream) Emit(now mono.Time, seg *wire.Segment) (int, bool) { return 0, false }
func (s *Stream) Deadline() mono.Time                               { return 0 }
func (s *Stream) App() App                                          { return s }
func (s *Stream) Read(now mono.Time, p []byte) (int, error)         { return 0, ErrWouldBlock }
func (s *Stream) Write(now mono.Time, p []byte) (int, error)        { return 0, ErrWouldBlock }
func (s *Stream) Shutdown(now mono.Time, how How)                   {}
func (s *Stream) Abort(now mono.Time)                               {}
func (s *Stream) Ready() Readiness                                  { return 0 }
func (s *Stream) Tune(now mono.Time, t Tuning)                      {}
