package tcp_test

import (
	"fmt"
	"testing"

	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 2883 §5: an ACK that was overtaken reports with a block that is below
// SND.UNA by now, but not below its own acknowledgment number: no duplicate. Nor
// is a first block that only touches the second.
func TestOvertakenSACKIsNoDuplicate(t *testing.T) {
	p := sackFlight(t)
	for i := 2; i <= 4; i++ {
		p.Send(sack(1, seg(1), seg(i)))
	}
	p.Drain()
	p.Send(fmt.Sprintf("A 1 ack %d win 512", seg(4)))
	p.Drain()
	p.Events = nil
	p.Send(sack(1, seg(1), seg(2))) // late
	p.Send(sack(seg(4), seg(6), seg(7), seg(5), seg(6)))
	if p.Happened("spurious") {
		t.Error("taken for a report of a duplicate")
	}
	p.Send(sack(seg(4), seg(0), seg(1)))
	if !p.Happened("spurious") {
		t.Error("this one is a report")
	}
	p.Drain()
	p.Send("R 1")
}

// RFC 2018 §8, RFC 2018 §5: what was SACKed is kept until it is acknowledged
// cumulatively: a peer that takes it all back gets all of it again.
func TestEverythingReneged(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay)
	p.Write(6 * 1460)
	p.Drain()
	p.Send(sack(1, seg(1), seg(6)))
	p.Expect("A 1+1460 ack 1")
	p.Send(upTo(1)) // all that was SACKed is gone
	got := map[int]bool{}
	for at := 1; at < 6; {
		p.Pass(p.Conn.Info().RTO)
		for _, s := range p.Drain() {
			var from int
			if _, err := fmt.Sscanf(s, "A %d", &from); err == nil {
				got[(from-1)/1460] = true
			} else if _, err := fmt.Sscanf(s, "PA %d", &from); err == nil {
				got[(from-1)/1460] = true
			}
		}
		if !got[at] {
			t.Fatalf("segment %d was not sent again: %v", at, got)
		}
		for got[at] {
			at++
		}
		p.Send(upTo(at))
	}
	p.Drain()
}
