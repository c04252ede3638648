package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// Cookie tells a passive open that its SYN-ACK has left already, as a SYN
// cookie (RFC 4987 §3.6): Config.ISS is what it said, and nothing of the
// connection was kept meanwhile.
type Cookie struct {
	Shift uint8 // the window scale it offered
}

// What a cookie keeps beside the MSS lies in the lowest bits of the timestamp,
// which the peer echoes. Without timestamps it is lost: such a connection has
// neither window scale nor SACK, nor options of other owners.
const (
	cookieScale    = 0x0f // window scale of the peer
	cookieNoScale  = 0x0f // it did not offer one (14 is the largest, RFC 7323 §2.3)
	cookieSACK     = 0x10
	cookieBits     = 0x3f // one is kept for ECN
	cookieWindow   = 65535
	cookieMinClock = cookieBits + 1 // granularity of the clock, in ms
)

// AnswerSYN fills in the SYN-ACK that answers syn with a cookie, for a
// connection that Config would make; cfg.ISS is the cookie (RFC 4987 §3.6,
// appendix A).
func AnswerSYN(now mono.Time, cfg *Config, syn, out *wire.Segment) {
	c := Conn{cfg: Config{Local: cfg.Local, Remote: cfg.Remote, MTU: cfg.MTU, Tuning: cfg.Tuning}}
	out.Reset()
	out.Seq, out.Ack, out.Flags = cfg.ISS, syn.Seq+1, wire.SYN|wire.ACK
	out.Window = uint16(min(c.maxWindow(), cookieWindow))
	out.Options.MSS = c.offeredMSS()
	if !syn.Timestamps || cfg.NoTimestamps {
		return
	}
	c.offerAll()
	bits := uint32(cookieNoScale)
	if syn.WindowScale >= 0 && c.opt.scaled {
		bits = uint32(min(syn.WindowScale, maxShift))
		out.WindowScale = int8(c.opt.rcvShift)
	}
	if syn.SACKPermitted && c.opt.sack {
		bits |= cookieSACK
		out.SACKPermitted = true
	}
	clock := tsClock(now, cfg.TSOffset)
	stamp := clock&^cookieBits | bits
	if int32(stamp-clock) > 0 {
		stamp -= cookieMinClock // the clock must not run backwards afterwards
	}
	out.Timestamps, out.TSVal, out.TSEcr = true, stamp, syn.TSVal
}

// RecallSYN fills in the SYN that a cookie answered, from the ACK that brought
// the cookie back and the MSS it tells; the caller has verified it.
func RecallSYN(ack *wire.Segment, mss uint16, syn *wire.Segment) {
	syn.Reset()
	syn.SrcPort, syn.DstPort = ack.SrcPort, ack.DstPort
	syn.Seq, syn.Flags = ack.Seq-1, wire.SYN
	// RFC 7323 §2.2: the window of a SYN is not scaled. What the ACK says is
	// taken from the ACK, which follows.
	syn.Window = ack.Window
	syn.Options.MSS = mss
	if !ack.Timestamps {
		return
	}
	syn.Timestamps, syn.TSVal = true, ack.TSVal
	if s := ack.TSEcr & cookieScale; s != cookieNoScale {
		syn.WindowScale = int8(s)
	}
	syn.SACKPermitted = ack.TSEcr&cookieSACK != 0
}

// answered goes on as if the SYN-ACK had just been sent: the ACK of it comes
// next.
func (c *Conn) answered(now mono.Time) {
	c.snd.synOut = true
	c.rcv.lastAck = c.rcv.nxt
	c.noteWindow(min(c.maxWindow(), cookieWindow))
	c.armRetransmit(now)
}

// WindowShift returns the window scale that a connection of t offers.
func WindowShift(t Tuning) uint8 {
	c := Conn{cfg: Config{Tuning: t}}
	c.offerAll()
	return c.opt.rcvShift
}
