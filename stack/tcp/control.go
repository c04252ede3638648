package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
)

// PathErrorKind is what an ICMP message says of the path.
type PathErrorKind uint8

// Kinds of path errors.
const (
	PacketTooBig    PathErrorKind = iota // MTU is what fits; 0 if the router did not say
	Unreachable                          // network or host; or time exceeded: may pass
	PortUnreachable                      // port or protocol: nobody will answer
)

// PathError is an ICMP error about a segment this connection sent.
type PathError struct {
	Kind PathErrorKind
	MTU  int
	Seq  seq.Num // sequence number of the quoted segment (RFC 5927 §4)
	Err  error   // what the application would be told; nil: by kind
}

// Least path MTUs believed.
const (
	floorMTU4 = 552 // RFC 1191 §3 allows 68; nothing real is below this
	floorMTU6 = 1280
)

// plateaus are likely MTUs, for routers that do not say (RFC 1191 §7.1).
var plateaus = [...]int{32000, 17914, 8166, 4352, 2002, 1492, 1006, 508}

// Control takes an ICMP error. It is believed only if it quotes a segment in
// flight (RFC 5927 §4.1), and never ends a synchronized connection (§5.2).
func (c *Conn) Control(now mono.Time, e PathError) {
	una := c.snd.una()
	if c.life.over || !e.Seq.In(una, c.snd.nxt().Sub(una)) {
		return
	}
	if e.Kind == PacketTooBig {
		c.tooBig(now, e)
		return
	}
	err := e.Err
	if err == nil {
		err = ErrUnreachable
		if e.Kind == PortUnreachable {
			err = ErrRefused
		}
	}
	if c.life.state == SynSent {
		// Departs from RFC 9293 §3.9.2.2 (MUST-56) for network and host
		// unreachable: nothing is lost yet, and the caller has other addresses
		// to try (RFC 5461 §4.1).
		c.end(now, err)
		return
	}
	c.softError(now, err)
}

func plateauBelow(mtu int) int {
	for _, p := range plateaus {
		if p < mtu {
			return p
		}
	}
	return 68
}
