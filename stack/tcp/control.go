package tcp

import (
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
