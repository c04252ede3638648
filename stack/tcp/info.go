package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// Info is a connection as a diagnosis shows it. Sizes are bytes.
type Info struct {
	State    State
	Backoffs int // consecutive retransmission timeouts

	Doubtful  bool  // R1 is passed and R2 is not (RFC 9293 §3.8.3)
	SoftError error // what the network last reported without ending the connection (RFC 9293 §3.9.1.8)

	SRTT, RTTVar time.Duration // 0: no sample yet
	MinRTT       time.Duration // 0: no sample yet
	RTO          time.Duration // back-off included
	RcvRTT       time.Duration // round trip as the receiver of data sees it; 0: unknown

	Cwnd, Ssthresh int
	InFlight       int // sent, neither acknowledged, nor SACKed, nor taken for lost
	Unacked        int // sent, not acknowledged cumulatively
	SndWnd         int // the peer's receive window
	RcvWnd         int // what is left of the window last advertised
	SndShift       int // window scale of the peer (RFC 7323 §2.3)
	RcvShift       int // our window scale
	MSS            int // payload bytes of a full segment, options deducted
	MTU            int // of the path

	BytesSent     uint64 // payload of first transmissions
	BytesAcked    uint64
	BytesReceived uint64 // delivered in order
	BytesRetrans  uint64
	SegsSent      uint64 // a super-segment counts as its segments
	SegsReceived  uint64
	Retransmits   uint64 // segments

	LastSent     mono.Time // any segment
	LastReceived mono.Time // any acceptable segment
	LastAcked    mono.Time // SND.UNA moved
}

// Info returns the connection as it is now.
func (c *Conn) Info() Info {
	i := Info{
		State: c.life.state, Backoffs: c.loss.backoffs,
		SRTT: c.rtt.SRTT(), RTTVar: c.rtt.Var(), MinRTT: c.rtt.Min(), RTO: c.rtt.RTO(), RcvRTT: c.rcv.rtt.srtt,
		InFlight: c.pipe(), Unacked: c.snd.unacked(), SndWnd: c.snd.peer.wnd, RcvWnd: c.windowLeft(),
		SndShift: int(c.opt.sndShift), RcvShift: int(c.opt.rcvShift),
		MSS: c.opt.mss, MTU: c.opt.mtu,
		BytesSent: c.stat.sent, BytesAcked: c.snd.acked, BytesReceived: c.stat.received, BytesRetrans: c.stat.retrans,
		SegsSent: c.stat.segsSent, SegsReceived: c.stat.segsIn, Retransmits: c.stat.retransIn,
		LastSent: c.stat.lastSent, LastReceived: c.stat.lastReceived, LastAcked: c.snd.ackedAt,
	}
	i.Doubtful, i.SoftError = c.doubtful(), c.reported()
	if c.cc != nil {
		i.Cwnd, i.Ssthresh = c.cc.Window()
	}
	return i
}
