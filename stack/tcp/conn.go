package tcp

import (
	"net/netip"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

type Conn struct{ cfg Config }

func NewConn(cfg Config) *Conn                             { return &Conn{cfg: cfg} }
func (c *Conn) Open(now mono.Time)                         {}
func (c *Conn) Listen()                                    {}
func (c *Conn) Receive(now mono.Time, seg *wire.Segment)   {}
func (c *Conn) Emit(now mono.Time, seg *wire.Segment) bool { return false }
func (c *Conn) Advance(now mono.Time)                      {}
func (c *Conn) Deadline() mono.Time                        { return 0 }
func (c *Conn) CloseWrite(now mono.Time)                   {}
func (c *Conn) Close(now mono.Time)                        {}
func (c *Conn) Abort(now mono.Time)                        {}
func (c *Conn) Control(now mono.Time, e PathError)         {}
func (c *Conn) Probe(now mono.Time)                        {}
func (c *Conn) Ack(now mono.Time)                          {}
func (c *Conn) SetOptionReserve(n int)                     {}
func (c *Conn) Tune(now mono.Time, t Tuning)               {}
func (c *Conn) State() State                               { return ClosedState }
func (c *Conn) Err() error                                 { return nil }
func (c *Conn) Backoffs() int                              { return 0 }
func (c *Conn) Info() Info                                 { return Info{} }
func (c *Conn) Local() netip.AddrPort                      { return c.cfg.Local }
func (c *Conn) Remote() netip.AddrPort                     { return c.cfg.Remote }
func ResetFor(in *wire.Segment, out *wire.Segment) bool    { return false }
