package tcp

import (
	"github.com/sennit-net/sennit/stack/cc"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// agreed is what the two SYNs settled.
type agreed struct {
	sack, timestamps bool
	scaled           bool  // both sides sent a window scale
	sndShift         uint8 // of windows we receive (Snd.Wind.Shift, RFC 7323 §2.3)
	rcvShift         uint8 // of windows we send (Rcv.Wind.Shift)
	mtu              int   // of the path, as far as known
	peerMSS          int   // the peer's MSS option; 0: not heard yet
	proven           int   // the path MTU if full segments of it have arrived; 0: not yet
	mss              int   // payload bytes of a full segment, usual options deducted
}

// Sizes in bytes.
const (
	tsLen       = 10 // timestamps option
	defaultMSS4 = 536
	defaultMSS6 = 1220 // RFC 9293 §3.7.1 (MUST-15)
	// minMSS guards against a peer that asks for segments that are nearly all
	// header: the SACK work per byte would be unbounded.
	minMSS    = 64
	maxShift  = 14         // RFC 7323 §2.3
	maxWindow = 65535 << 8 // default of Tuning.MaxWindow: 1 Gbit/s x 100 ms and a third
	// maxPayload keeps a super-segment inside an IPv4 total length.
	maxPayload = 65535 - 20 - wire.MinHeader - wire.MaxOptions
)

func (c *Conn) maxWindow() int {
	if c.cfg.MaxWindow > 0 {
		return min(c.cfg.MaxWindow, 1<<30)
	}
	return maxWindow
}

// shiftFor returns the smallest shift count under which w fits 16 bits.
func shiftFor(w int) uint8 {
	s := uint8(0)
	for s < maxShift && w>>s > 65535 {
		s++
	}
	return s
}

// offerAll prepares the options of our SYN: all that Tuning allows. It is a
// SYN-ACK's business to take back what the SYN did not have (answer).
func (c *Conn) offerAll() {
	c.announceTimeout(1)
	c.opt.sack = !c.cfg.NoSACK
	c.opt.timestamps = !c.cfg.NoTimestamps
	c.opt.scaled = !c.cfg.NoWindowScale
	c.opt.rcvShift = shiftFor(c.maxWindow())
	if c.cfg.WindowScale > 0 {
		c.opt.rcvShift = uint8(min(c.cfg.WindowScale-1, maxShift))
	}
}

// settle takes the options of the peer's SYN or SYN-ACK against what we offer.
func (c *Conn) settle(now mono.Time, seg *wire.Segment) {
	c.timeoutIn(now, seg)
	// RFC 2018 §4, RFC 7323 §2.2, §3.2: only what both sides sent.
	c.opt.sack = c.opt.sack && seg.SACKPermitted
	c.opt.timestamps = c.opt.timestamps && seg.Timestamps
	c.opt.scaled = c.opt.scaled && seg.WindowScale >= 0
	c.opt.sndShift = 0
	if c.opt.scaled {
		// RFC 7323 §2.3: a count above 14 is taken for 14.
		c.opt.sndShift = uint8(min(seg.WindowScale, maxShift))
	} else {
		c.opt.rcvShift = 0
	}
	if c.opt.timestamps {
		c.rcv.ts.recent, c.rcv.ts.at = seg.TSVal, now
	}
	c.opt.peerMSS = c.defaultMSS()
	if seg.Options.MSS != 0 {
		c.opt.peerMSS = max(int(seg.Options.MSS), minMSS)
	}
	c.setMSS()
	c.newController(0)
}

// newController makes the congestion controller; window is its initial window
// in bytes, 0 for the usual.
func (c *Conn) newController(window int) {
	f := c.cfg.NewController
	if f == nil {
		f = defaultController
	}
	c.cc = f(cc.Config{MSS: c.opt.mss, Window: window, NoSACK: !c.opt.sack,
		Seed: uint64(c.cfg.ISS)<<32 | uint64(c.cfg.TSOffset)})
	c.rate.model, _ = c.cc.(cc.Modeller)
}

func (c *Conn) defaultMSS() int {
	if c.isV6() {
		return defaultMSS6
	}
	return defaultMSS4
}

// fixedHeaders returns the bytes of the IP and TCP headers without options.
func (c *Conn) fixedHeaders() int {
	if c.isV6() {
		return 40 + wire.MinHeader
	}
	return 20 + wire.MinHeader
}

// offeredMSS is the MSS option we send: what fits our MTU, fixed headers only
// (RFC 9293 §3.7.1, MUST-67).
func (c *Conn) offeredMSS() uint16 {
	return uint16(min(max(max(c.cfg.MTU, c.cfg.MaxMTU)-c.fixedHeaders(), minMSS), 65535))
}

// segmentRoom returns how many bytes of options and payload a segment may have
// (RFC 9293 §3.7.1, MUST-16).
func (c *Conn) segmentRoom() int {
	room := c.opt.mtu - c.fixedHeaders()
	if c.opt.peerMSS > 0 {
		room = min(room, c.opt.peerMSS)
	}
	return max(room, minMSS)
}

// setMSS works out the payload of a full segment anew.
func (c *Conn) setMSS() {
	c.opt.mss = c.payloadRoom(0)
	if r, ok := c.cc.(interface{ Resize(mss int) }); ok {
		r.Resize(c.opt.mss)
	}
}

// payloadRoom returns the payload of a full segment that carries timestamps if
// agreed, the Upper's reserve, and so many SACK blocks.
func (c *Conn) payloadRoom(blocks int) int {
	n := c.cfg.OptionReserve
	if c.opt.timestamps {
		n += tsLen
	}
	if blocks > 0 {
		n += 2 + 8*blocks
	}
	return c.segmentRoom() - (min(n, wire.MaxOptions)+3)&^3
}

// synOptions writes the options of a SYN or SYN-ACK.
func (c *Conn) synOptions(now mono.Time, seg *wire.Segment) {
	seg.Options.MSS = c.offeredMSS()
	seg.SACKPermitted = c.opt.sack
	if c.opt.scaled {
		seg.WindowScale = int8(c.opt.rcvShift)
	}
	c.stamp(now, seg)
}

// stamp writes the timestamps option (RFC 7323 §3.2).
func (c *Conn) stamp(now mono.Time, seg *wire.Segment) {
	if !c.opt.timestamps {
		return
	}
	seg.Timestamps = true
	seg.TSVal = c.tsClock(now)
	if seg.Flags.Has(wire.ACK) {
		seg.TSEcr = c.rcv.ts.recent
	}
}

// tsClock is the timestamp clock: milliseconds (RFC 7323 §5.4), moved by an
// offset of the connection's own (§7.1).
func (c *Conn) tsClock(now mono.Time) uint32 { return tsClock(now, c.cfg.TSOffset) }

func tsClock(now mono.Time, offset uint32) uint32 { return uint32(int64(now)/1e6) + offset }
