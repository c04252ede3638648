package tcp_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 5961 §7: the limit of challenge ACKs is each connection's own, and can be
// set. An attacker who uses one connection's up learns nothing from another,
// which a limit shared by all would tell (as CVE-2016-5696 shows).
func TestChallengeSideChannel(t *testing.T) {
	victim, mine := tcptest.Established(t), tcptest.Established(t)
	for range 50 {
		victim.Send("R 2")
	}
	if n := len(victim.Drain()); n != 10 {
		t.Errorf("the victim sent %d challenges", n)
	}
	for range 10 {
		mine.Send("R 2")
		mine.Expect("A 1 ack 1")
	}
	mine.Send("R 2")
	mine.Nothing()
	for _, limit := range []uint8{1, 25, 255} {
		p := tcptest.Established(t, func(c *tcp.Config) { c.Challenges = limit })
		for range 300 {
			p.Send("S 5 win 100")
		}
		if n := len(p.Drain()); n != int(limit) {
			t.Errorf("%d challenges, want %d", n, limit)
		}
	}
}

// RFC 5961 §7: what an attacker uses up comes back within a second, so that a
// peer that really lost its state hears of it by one of its next tries.
func TestChallengeNotStarved(t *testing.T) {
	p := tcptest.Established(t)
	for range 30 {
		// The attacker comes with more than the limit.
		for range 20 {
			p.Send("R 2")
		}
		p.Drain()
		p.Pass(990 * time.Millisecond)
		// The peer has restarted and opens anew.
		p.Send("S 4000000 win 512")
		p.Pass(10 * time.Millisecond)
		if len(p.Drain()) == 0 {
			t.Fatal("the peer hears nothing")
		}
	}
	p.Pass(time.Second)
	p.Send("S 4000000 win 512")
	p.Expect("A 1 ack 1")
	// And the RST the peer answers that with is taken.
	p.Send("R 1")
	p.Ended(tcp.ErrReset)
}

// RFC 5961 §3.2: a RST at the right edge of what was SACKed is challenged like
// any other that is not at RCV.NXT; the extension some stacks have is off.
func TestResetAtSACKEdge(t *testing.T) {
	p := tcptest.Established(t)
	p.Send("A 101+100 ack 1 win 512")
	p.Expect("A 1 ack 1 sack 101-201")
	for _, rst := range []string{"R 101", "R 201"} {
		p.Send(rst)
		p.Expect("A 1 ack 1")
		p.Is(tcp.Estab)
	}
	p.Send("R 1")
	p.Ended(tcp.ErrReset)
}

// RFC 5961 §3.2, RFC 5961 §4.2 and RFC 5961 §5.2: somebody off the path who knows the addresses
// and ports, but no number, throws segments of every kind with numbers at
// random. No data gets in, the connection goes on, and the answers stay few.
func TestBlindAttack(t *testing.T) {
	for _, opts := range [][]tcptest.Option{nil, {tcptest.NoTimestamps}} {
		p := tcptest.Established(t, opts...)
		p.Write(100)
		p.Expect("PA 1+100 ack 1")
		p.Send("A 1 ack 101 win 512")
		r := rand.New(rand.NewPCG(5961, uint64(len(opts))))
		kinds := []string{"R %[1]d", "RA %[1]d ack %[2]d", "S %[1]d win 100", "SA %[1]d ack %[2]d win 100",
			"A %[1]d+100 ack %[2]d win 512", "FA %[1]d ack %[2]d win 512", "F %[1]d", "A %[1]d ack %[2]d win 0", "- %[1]d+10"}
		const tries = 60_000
		answers := 0
		for i := range tries {
			k := kinds[r.IntN(len(kinds))]
			p.Send(fmt.Sprintf(k+" ", int32(r.Uint32()), int32(r.Uint32())))
			if i%100 == 0 {
				answers += len(p.Drain())
				p.Events = nil
				p.Pass(100 * time.Millisecond)
			}
		}
		answers += len(p.Drain())
		p.Is(tcp.Estab)
		if i := p.Conn.Info(); i.BytesReceived != 0 || i.SndWnd == 0 {
			t.Errorf("%d bytes got in, window %d", i.BytesReceived, i.SndWnd)
		}
		// Text and FIN are answered one by one, as a retransmission of the peer's
		// has to be; all others at ten a second.
		text := tries * 4 / len(kinds)
		if limit := text + text/20 + tries/1000*10 + 10; answers > limit {
			t.Errorf("%d answers to %d segments, want at most %d", answers, tries, limit)
		}
		p.Pass(time.Second)
		p.Send("A 1+10 ack 101 win 512 ts 60000/0")
		p.Read(10)
		p.Drain()
	}
}
