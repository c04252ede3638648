package tcp

import (
	"time"

	"github.com/sennit-net/sennit/stack/mono"
)

// Info is a connection as a diagnosis shows it, in the sense of Linux's
// tcp_info. Sizes are bytes of payload, unless a field says otherwise; instants
// are of the clock the connection runs on; counters count from its beginning and
// never fall.
type Info struct {
	State    State
	Recovery Recovery // what repair of losses goes on
	Backoffs int      // consecutive retransmission timeouts
	Probes   int      // consecutive zero-window probes without an answer that opens it

	Doubtful  bool  // R1 is passed and R2 is not (RFC 9293 §3.8.3)
	SoftError error // what the network last reported without ending the connection (RFC 9293 §3.9.1.8)

	SRTT, RTTVar time.Duration // smoothed round trip and its variation; 0: no sample yet
	MinRTT       time.Duration // least of the last 5 to 10 s; 0: no sample yet
	RTO          time.Duration // retransmission timeout, back-off included
	RcvRTT       time.Duration // round trip as the receiver of data sees it; 0: unknown

	Cwnd, Ssthresh int     // congestion window and slow-start threshold
	PacingRate     float64 // bytes per second; 0: not paced
	AppLimited     bool    // the application, not the network, limits what is sent
	InFlight       int     // sent, neither acknowledged, nor SACKed, nor taken for lost
	Unacked        int     // sent, not acknowledged cumulatively
	Sacked         int     // of these, what the peer holds (RFC 2018)
	LostNow        int     // of these, what is taken for lost and was not sent again yet
	Retransmitting int     // of these, what was sent again and is not SACKed
	Reordering     bool    // the path was seen to reorder (RFC 8985 §6.2)

	SndWnd   int // the peer's receive window, scaled
	RcvWnd   int // what is left of the window last advertised
	RcvSpace int // what there is room to receive now: the window to be advertised next
	SndShift int // window scale of the peer (RFC 7323 §2.3)
	RcvShift int // our window scale
	MSS      int // of a full segment we send, options deducted
	RcvMSS   int // of the largest segment received; 0: none with data yet
	MTU      int // of the path, in bytes of an IP packet

	SACK, Timestamps, WindowScale bool // what both sides agreed on

	BytesSent     uint64 // first transmissions
	BytesAcked    uint64 // acknowledged cumulatively
	BytesReceived uint64 // delivered in order
	BytesRetrans  uint64 // sent again, each time
	Delivered     uint64 // known to have arrived: acknowledged or SACKed
	Lost          uint64 // ever taken for lost, rightly or not
	SegsSent      uint64 // segments; a super-segment counts as those it stands for
	SegsReceived  uint64 // segments, likewise
	Retransmits   uint64 // segments sent again

	LastSent     mono.Time // any segment; 0: never
	LastReceived mono.Time // any acceptable segment; 0: never
	LastAcked    mono.Time // SND.UNA moved; 0: never
}

// Recovery is what repair of losses goes on.
type Recovery uint8

// Kinds of repair.
const (
	NoRecovery      Recovery = iota
	FastRecovery             // losses were found by SACK, RACK or duplicate ACKs
	TimeoutRecovery          // after a retransmission timeout
)

func (r Recovery) String() string { return [...]string{"none", "fast", "timeout"}[r] }

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
	i.Recovery = [...]Recovery{calm: NoRecovery, fast: FastRecovery, timeout: TimeoutRecovery}[c.loss.mode]
	i.Probes = c.loss.probes
	i.Delivered, i.Lost, i.AppLimited = c.rate.delivered, c.rate.lost, !c.snd.limited
	i.Sacked, i.LostNow, i.Retransmitting = c.snd.spans.sacked, c.snd.spans.lost, c.snd.spans.again
	i.Reordering = c.loss.rack.Reordered()
	i.SACK, i.Timestamps, i.WindowScale = c.opt.sack, c.opt.timestamps, c.opt.scaled
	i.RcvMSS = c.rcv.mss
	if !c.life.over {
		i.RcvSpace = c.offeredWindow()
	}
	i.Doubtful, i.SoftError = c.doubtful(), c.reported()
	if c.cc != nil {
		i.Cwnd, i.Ssthresh = c.cc.Window()
		i.PacingRate = c.pacing()
	}
	return i
}
