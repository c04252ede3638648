package tcp

import (
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// FastOpen is what data on the SYN needs (RFC 7413). Both are off by default
// (§2): what comes on a SYN may come twice, so only applications that can bear
// that may use it (§6.1). An implementation belongs to one connection.
type FastOpen struct {
	Client FastOpenClient // of an active open; nil: off
	Server FastOpenServer // of a passive open; nil: off
}

// FastOpenClient remembers cookies of servers (RFC 7413 §4.1.3).
type FastOpenClient interface {
	// Cookie returns the cookie for this server, with the MSS remembered along
	// with it; an empty one asks for a cookie. Not ok: the SYN says nothing.
	Cookie() (cookie []byte, mss int, ok bool)
	// Learned tells what the SYN-ACK brought: a cookie, or none though the SYN
	// asked for one or sent one with data that was not taken.
	Learned(cookie []byte, mss int)
	// Failed tells that a SYN with the option was not answered in time.
	Failed()
}

// FastOpenServer makes and checks cookies (RFC 7413 §4.1.2).
type FastOpenServer interface {
	// Accept reports whether the cookie is the client's and one more connection
	// may be open this way before its handshake is done (§4.2). Done is called
	// once for each that was accepted.
	Accept(cookie []byte) bool
	// Issue returns the client's cookie, empty for none.
	Issue() []byte
	Done()
}

// opening is how far a fast open is.
type opening struct {
	asked   bool // our SYN had the option
	failed  bool // that SYN was not answered
	issue   bool // the SYN-ACK is to bring a cookie
	early   bool // data on the SYN was taken; we may send before the handshake is done
	pending bool // FastOpenServer.Done is due
}

const kindFastOpen = 34

// fastOpenCookie finds the option on a SYN (RFC 7413 §4.1.1); one of an illegal
// length is as good as none.
func fastOpenCookie(o *wire.Options) (cookie []byte, ok bool) {
	v, ok := o.Find(kindFastOpen)
	if n := len(v); !ok || n != 0 && (n < 4 || n > 16 || n%2 != 0) {
		return nil, false
	}
	return v, true
}

// fastOpenOut puts the option, and data, on the first SYN; on the first SYN-ACK
// the cookie. What is sent again has neither (RFC 7413 §4.2.2).
func (c *Conn) fastOpenOut(now mono.Time, seg *wire.Segment, again bool) (n int) {
	f := c.cfg.FastOpen
	if c.life.state == SynReceived {
		if c.fast.issue && !again {
			c.appendFastOpen(seg, f.Server.Issue())
		}
		return 0
	}
	if f.Client == nil || again {
		if c.fast.asked && !c.fast.failed {
			c.fast.failed = true
			f.Client.Failed()
		}
		return 0
	}
	cookie, mss, ok := f.Client.Cookie()
	if !ok || !c.appendFastOpen(seg, cookie) {
		return 0
	}
	c.fast.asked = true
	if len(cookie) == 0 {
		return 0
	}
	return c.dataOnSYN(now, seg, mss)
}

func (c *Conn) appendFastOpen(seg *wire.Segment, cookie []byte) bool {
	if seg.Used()+2+len(cookie) > wire.MaxOptions {
		return false
	}
	b := append(seg.OtherBuffer()[:len(seg.Other())], kindFastOpen, byte(2+len(cookie)))
	seg.SetOther(append(b, cookie...))
	return true
}

// dataOnSYN adds what the Upper has, as much as one segment of the remembered
// MSS takes (RFC 7413 §4.2.1).
func (c *Conn) dataOnSYN(now mono.Time, seg *wire.Segment, mss int) int {
	if mss <= 0 {
		mss = c.defaultMSS()
	}
	s := &c.snd
	room := min(mss+wire.MinHeader, c.opt.mtu-c.fixedHeaders()+wire.MinHeader) - seg.HeaderLen()
	room = min(room, c.cfg.Upper.Pending(now))
	if room <= 0 {
		return 0
	}
	seg.Payload = c.cfg.Upper.Next(now, 0, room, seg.Payload)
	n := 0
	for _, r := range seg.Payload {
		s.bytes.Push(r.Retain())
		n += r.Len()
	}
	if n > 0 {
		s.spans.append(0, n, now)
		s.sent += uint64(n)
		c.stat.sent += uint64(n)
	}
	return n
}

// fastOpenIn looks at the SYN of a passive open and reports whether its data is
// to be taken (RFC 7413 §4.2.2).
func (c *Conn) fastOpenIn(seg *wire.Segment) bool {
	server := c.cfg.FastOpen.Server
	if server == nil {
		return false
	}
	cookie, ok := fastOpenCookie(&seg.Options)
	if !ok {
		return false
	}
	if len(cookie) == 0 || !server.Accept(cookie) {
		c.fast.issue = true
		return false
	}
	c.fast.early, c.fast.pending = true, true
	return true
}

// takeSYNData gives the data of a SYN to the Upper, which may answer before the
// handshake is done.
func (c *Conn) takeSYNData(now mono.Time, seg *wire.Segment) {
	seg.Seq++
	seg.Flags &^= wire.SYN
	c.advertiseSYN() // the window data on a SYN is held against
	c.processPayload(now, seg)
	c.at.stop(tDelayedAck)
	c.out.ack = false
	if !c.life.over {
		c.cfg.Upper.Changed(now, Established)
	}
}

// fastOpenAnswered takes what a SYN-ACK says of a fast open. What it did not
// acknowledge of the SYN's data goes again at once, and is no sign of
// congestion (RFC 7413 §4.2.2).
func (c *Conn) fastOpenAnswered(now mono.Time, seg *wire.Segment) {
	s := &c.snd
	sent := s.unacked()
	var f feedback
	c.advanceUna(now, seg, &f)
	if s.unacked() > 0 {
		for i := range s.spans.live() {
			c.lose(i)
		}
		c.loss.force = true
		c.armRetransmit(now)
	}
	if f.acked > 0 {
		c.cfg.Upper.Acked(now, s.acked)
	}
	if !c.fast.asked || c.fast.failed {
		return
	}
	if cookie, ok := fastOpenCookie(&seg.Options); ok && len(cookie) > 0 {
		c.cfg.FastOpen.Client.Learned(cookie, c.opt.peerMSS)
	} else if sent == 0 || f.acked == 0 {
		c.cfg.FastOpen.Client.Learned(nil, c.opt.peerMSS)
	}
}

// fastOpenDone tells the server that the handshake is over, one way or other.
func (c *Conn) fastOpenDone() {
	if c.fast.pending {
		c.fast.pending = false
		c.cfg.FastOpen.Server.Done()
	}
}
