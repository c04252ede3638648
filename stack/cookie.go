package stack

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// SYN cookies (RFC 4987 §3.6): while a listener has as many half-open
// connections as it may have, SYNs are answered without keeping anything. The
// sequence number of the SYN-ACK says what it takes to go on when the ACK comes
// back:
//
//	bits 31-27  time slot, modulo 32
//	bits 26-24  the peer's MSS, as an index
//	bits 23-0   MAC of these, the 4-tuple, and the peer's sequence number
//
// Window scale and SACK travel in the timestamp (tcp.AnswerSYN); without
// timestamps they are lost. A connection made from a cookie is plain TCP:
// Multipath TCP's keys do not fit, and RFC 8684 §3.8 lets the answer be without
// MP_CAPABLE.

// cookieSlot is how long the key of a cookie is in use; a cookie is good in its
// slot and the next one.
const cookieSlot = 64 * time.Second

// cookieMSS are the sizes a cookie can tell, in rising order.
var cookieMSS = [8]uint16{216, 536, 1220, 1340, 1400, 1440, 1460, 8940}

const cookieMACBits = 24

func slotAt(now mono.Time) uint32 { return uint32(now.Sub(0) / cookieSlot) }

// cookieMAC is keyed by the stack's secret and the slot: so each slot has a key
// of its own.
func (s *Stack) cookieMAC(k tuple, irs seq.Num, slot uint32, mss int) uint32 {
	var b [32 + 1 + 2*18 + 4 + 4 + 1]byte
	n := copy(b[:], s.isn[:])
	b[n] = 'c'
	n++
	n = putAddrPort(b[:], n, k.local)
	n = putAddrPort(b[:], n, k.remote)
	binary.BigEndian.PutUint32(b[n:], uint32(irs))
	binary.BigEndian.PutUint32(b[n+4:], slot)
	b[n+8] = byte(mss)
	sum := sha256.Sum256(b[:])
	return binary.BigEndian.Uint32(sum[:]) & (1<<cookieMACBits - 1)
}

// cookie makes the sequence number that answers a SYN.
func (s *Stack) cookie(now mono.Time, k tuple, syn *wire.Segment) seq.Num {
	offered, mss := syn.Options.MSS, 0
	if offered == 0 {
		offered = 536 // RFC 9293 §3.7.1, MUST-15
	}
	for mss+1 < len(cookieMSS) && cookieMSS[mss+1] <= offered {
		mss++
	}
	slot := slotAt(now)
	return seq.Num(slot<<27 | uint32(mss)<<cookieMACBits | s.cookieMAC(k, syn.Seq, slot, mss))
}

// checkCookie verifies the cookie that ack brings back, and returns the MSS.
func (s *Stack) checkCookie(now mono.Time, k tuple, ack *wire.Segment) (mss uint16, ok bool) {
	c := uint32(ack.Ack - 1)
	slot := slotAt(now)
	if slot&31 != c>>27 {
		slot--
	}
	if slot&31 != c>>27 {
		return 0, false
	}
	i := int(c >> cookieMACBits & 7)
	if s.cookieMAC(k, ack.Seq-1, slot, i) != c&(1<<cookieMACBits-1) {
		return 0, false
	}
	return cookieMSS[i], true
}

// sendCookie answers a SYN without keeping anything.
func (l *Listener) sendCookie(in *Incoming) {
	s := l.s
	now := s.now()
	p := s.incomingPath(in)
	cfg := p.Config(s.opts.Tuning)
	cfg.ISS = s.cookie(now, p.at(), in.Segment)
	var out wire.Segment
	tcp.AnswerSYN(now, &cfg, in.Segment, &out)
	in.Drop()
	s.counters.CookiesSent.Add(1)
	s.sendLoose(in.nic, in.Local, in.Remote, &out)
}

// recall makes a connection out of the ACK of a cookie, and gives it that ACK;
// false: it is none.
func (s *Stack) recall(in *Incoming) bool {
	l := s.tcp.listener(in.Local)
	if l == nil || !l.sentCookies(s.now()) {
		return false
	}
	k := tuple{in.Local, in.Remote}
	mss, ok := s.checkCookie(s.now(), k, in.Segment)
	if !ok {
		s.counters.CookiesRejected.Add(1)
		return false
	}
	syn := segments.Get().(*wire.Segment)
	defer putSegment(syn)
	tcp.RecallSYN(in.Segment, mss, syn)
	first := &Incoming{Link: in.Link, Local: in.Local, Remote: in.Remote, Segment: syn, s: s, nic: in.nic,
		begin: beginning{seq: in.Segment.Ack - 1, kind: answered}}
	if !l.admit(first) {
		// The peer believes to be connected; its data will ask again.
		in.Drop()
		return true
	}
	s.counters.CookiesAccepted.Add(1)
	if p := s.tcp.find(k); p != nil {
		p.receive(in.Segment, &in.nic.batch)
		in.Took()
		return true
	}
	in.Drop()
	return true
}

// sentCookies reports whether cookies of l may be on their way back.
func (l *Listener) sentCookies(now mono.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cookieAt != 0 && now.Sub(l.cookieAt) < 2*cookieSlot
}
