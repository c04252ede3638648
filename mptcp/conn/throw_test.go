package conn

import (
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// lastSegment returns a segment that continues what the subflow has sent: its
// peer finds it acceptable.
func lastSegment(now mono.Time, s *subflow) wire.Segment {
	var seg wire.Segment
	seg.Reset()
	local, remote := s.tcp.Local(), s.tcp.Remote()
	seg.SrcPort, seg.DstPort = local.Port(), remote.Port()
	seg.Window = 1000
	// A pure ACK of the machine's own tells the numbers.
	s.tcp.Ack(now)
	s.tcp.Emit(now, &seg)
	chunk.ReleaseAll(seg.Payload)
	seg.Payload = nil
	seg.NSACK = 0
	return seg
}

func payload(n int) []chunk.Slice {
	if n == 0 {
		return nil
	}
	return chunk.Copied(nil, make([]byte, n))
}
