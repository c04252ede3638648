package tcp

import (
	"encoding/binary"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// patience is the user timeout option (RFC 5482): each side says for how long
// it keeps a silent connection. It is off unless Tuning.AnnounceTimeout.
type patience struct {
	remote time.Duration // REMOTE_UTO; 0: not heard of
	due    uint8         // segments that are to carry the option (RFC 5482 §3.2)
}

// Limits of an adopted timeout (RFC 5482 §3.1).
const (
	leastTimeout = 100 * time.Second // L_LIMIT
	mostTimeout  = 2 * time.Hour     // U_LIMIT
)

// Kinds of options handled here.
const (
	kindMD5         = 19
	kindUserTimeout = 28
	kindAO          = 29
)

// announced is ADV_UTO: what we tell the peer.
func (c *Conn) announced() time.Duration {
	switch u := c.cfg.UserTimeout; {
	case u > 0:
		return u
	case u < 0:
		return 0x7fff * time.Minute
	}
	return defaultUser
}

// adopted returns the user timeout where the application left it open:
// RFC 5482 §3.1, min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)).
func (c *Conn) adopted() time.Duration {
	least := max(leastTimeout, 2*c.rtt.RTO())
	return min(mostTimeout, max(c.announced(), c.uto.remote, least))
}

// timeoutOption encodes d (RFC 5482 §3.3): seconds, or minutes with the
// granularity bit. Zero is never sent.
func timeoutOption(d time.Duration) [4]byte {
	v := max(d/time.Second, 1)
	if v > 0x7fff {
		v = min(d/time.Minute, 0x7fff) | 0x8000
	}
	var b [4]byte
	b[0], b[1] = kindUserTimeout, 4
	binary.BigEndian.PutUint16(b[2:], uint16(v))
	return b
}

// readTimeout decodes the option's value; zero is ignored (RFC 5482 §3.3).
func readTimeout(v []byte) time.Duration {
	if len(v) != 2 {
		return 0
	}
	n := binary.BigEndian.Uint16(v)
	d := time.Duration(n&0x7fff) * time.Second
	if n&0x8000 != 0 {
		d *= 60
	}
	return d
}

// announceTimeout makes the SYN and the first segment after it, or the next one
// after a change, carry the option: none of them is sure to arrive
// (RFC 5482 §3.2).
func (c *Conn) announceTimeout(segments uint8) {
	if c.cfg.AnnounceTimeout {
		c.uto.due = segments
	}
}

// timeoutOut puts the option on a segment if it is due and fits into room.
func (c *Conn) timeoutOut(seg *wire.Segment, room int) {
	if c.uto.due == 0 || room < 4 {
		return
	}
	c.uto.due--
	b := timeoutOption(c.announced())
	seg.SetOther(append(seg.OtherBuffer()[:len(seg.Other())], b[:]...))
}

// timeoutIn takes the peer's timeout. It counts only where the application did
// not set one of its own (CHANGEABLE, RFC 5482 §3); else it is only told.
func (c *Conn) timeoutIn(now mono.Time, seg *wire.Segment) {
	if !c.cfg.AnnounceTimeout || len(seg.Other()) == 0 {
		return
	}
	v, ok := seg.Find(kindUserTimeout)
	d := readTimeout(v)
	if !ok || d == 0 || d == c.uto.remote {
		return
	}
	c.uto.remote = d
	if c.recording() {
		c.record(now, PeerTimeout{d, c.cfg.UserTimeout == 0})
	}
}

// keepIdle is how long a connection is silent before it is probed: for longer
// than the user timeout adopted from the peer, or the probe would end what the
// peer means to keep (RFC 5482 §4.2).
func (c *Conn) keepIdle() time.Duration {
	idle := c.cfg.KeepAlive.Idle
	if idle > 0 && c.uto.remote > 0 && c.cfg.UserTimeout == 0 {
		idle = max(idle, c.adopted()+time.Second)
	}
	return idle
}

// signed reports whether a segment carries a signature of RFC 2385 or RFC 5925.
// There are no keys here that it could be checked against, and a sender that
// signs means to talk only to who can.
func signed(seg *wire.Segment) bool {
	if len(seg.Other()) == 0 {
		return false
	}
	_, md5 := seg.Find(kindMD5)
	_, ao := seg.Find(kindAO)
	return md5 || ao
}
