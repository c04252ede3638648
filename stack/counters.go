package stack

import (
	"iter"
	"reflect"
	"strings"
	"sync/atomic"
	"unicode"
)

// Counters count what happened in a stack. Read one with Load.
type Counters struct {
	SegmentsReceived   atomic.Uint64 // TCP segments with a good checksum; a super-segment is one
	SegmentsSent       atomic.Uint64 // TCP segments; a super-segment is one
	SendErrors         atomic.Uint64 // segments a link refused
	LinkDownDropped    atomic.Uint64 // packets for or from a link that is down
	Malformed          atomic.Uint64 // segments with an illegal header
	BadChecksum        atomic.Uint64 // segments and ICMP errors whose checksum was wrong
	ResetsSent         atomic.Uint64 // for segments without connection
	ConnectionsOpened  atomic.Uint64 // by dialing
	ConnectionsServed  atomic.Uint64 // accepted by a listener or HandleTCP
	BacklogDropped     atomic.Uint64 // SYNs dropped because a listener was busy
	CookiesSent        atomic.Uint64 // SYNs answered with a cookie because a listener had many half-open connections
	CookiesAccepted    atomic.Uint64 // connections made from a cookie that came back
	CookiesRejected    atomic.Uint64 // ACKs without connection that brought no cookie of ours
	TimeWaitsReopened  atomic.Uint64 // connections in TIME-WAIT whose 4-tuple a new SYN took over
	TimeWaitsEvicted   atomic.Uint64 // left TIME-WAIT early because there were too many
	SourceRouted       atomic.Uint64 // IPv4 packets dropped for a source route
	Martians           atomic.Uint64 // TCP segments from or to what can be no end of a connection
	PathsDoubted       atomic.Uint64 // times a connection sent again and again without an answer (RFC 9293 §3.8.3)
	PathErrors         atomic.Uint64 // ICMP errors given to a connection
	StrayPathErrors    atomic.Uint64 // ICMP errors about no connection of ours
	FastOpensTried     atomic.Uint64 // SYNs sent with a Fast Open cookie, or to ask for one
	FastOpensAccepted  atomic.Uint64 // SYNs whose data was taken
	FastOpensRefused   atomic.Uint64 // SYNs whose cookie was wrong, or one too many
	FastOpenBlackHoles atomic.Uint64 // times Fast Open was switched off for a while
	DatagramsDropped   atomic.Uint64 // of UDP flows whose reader was slow
}

// All yields every counter by its name in snake_case.
func (c *Counters) All() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		v := reflect.ValueOf(c).Elem()
		for i := range v.NumField() {
			n := v.Field(i).Addr().Interface().(*atomic.Uint64)
			if !yield(snake(v.Type().Field(i).Name), n.Load()) {
				return
			}
		}
	}
}

func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Counters returns the live counters of the stack.
func (s *Stack) Counters() *Counters { return &s.counters }
