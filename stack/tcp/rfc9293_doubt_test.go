package tcp_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// doubts counts what a connection says of R1.
type doubts struct{ advice, told int }

func (d *doubts) config(c *tcp.Config) { c.Doubted = func(mono.Time) { d.advice++ } }

func (d *doubts) count(p *tcptest.Peer) {
	for _, e := range p.Events {
		if e.Name() == "doubted" {
			d.told++
		}
	}
	p.Events = nil
}

func (d *doubts) are(t *testing.T, p *tcptest.Peer, n int) {
	t.Helper()
	d.count(p)
	if d.advice != n || d.told != n || p.Conn.Info().Doubtful != (n > 0) {
		t.Fatalf("advice given %d times, application told %d times, doubtful %v; want %d",
			d.advice, d.told, p.Conn.Info().Doubtful, n)
	}
}

// RFC 9293 §3.8.3: at R1, three retransmissions and not fewer (SHLD-10), advice
// goes to whoever chooses the way (MUST-20) and word to the application
// (SHLD-9), once; at R2, 15 minutes, so more than 100 s (SHLD-11), the
// connection is closed.
func TestDoubt(t *testing.T) {
	var d doubts
	p := tcptest.Established(t, tcptest.NoTimestamps, noProbe, d.config)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	rto := p.Conn.Info().RTO
	for i := range 8 {
		d.are(t, p, min(i/3, 1))
		p.After(min(rto<<i, time.Minute), "PA 1+100 ack 1")
	}
	// An answer is the end of doubt, the next silence the beginning of another.
	p.Send("A 1 ack 101 win 512")
	if p.Conn.Info().Doubtful {
		t.Error("still in doubt")
	}
	d = doubts{}
	p.Write(100)
	p.Expect("PA 101+100 ack 1")
	p.Pass(15*time.Minute - 1)
	p.Drain()
	d.are(t, p, 1)
	p.Is(tcp.Estab)
	p.Pass(1)
	p.Ended(tcp.ErrTimeout)
	if p.Conn.Info().Doubtful {
		t.Error("in doubt after the end")
	}
}

// RFC 9293 §3.8.3 (MUST-22): SYN and SYN-ACK count as data does.
func TestDoubtOfSYN(t *testing.T) {
	for _, make := range []func(testing.TB, ...tcptest.Option) *tcptest.Peer{tcptest.SynSent, tcptest.SynReceived} {
		var d doubts
		p := make(t, d.config)
		p.Pass(3 * time.Second) // after 1 s and 2 s
		d.are(t, p, 0)
		p.Pass(4 * time.Second)
		d.are(t, p, 1)
		p.Pass(180*time.Second - 7*time.Second - 1)
		p.Drain()
		if p.Conn.State() == tcp.ClosedState {
			t.Error("ended before R2")
		}
		p.Pass(1)
		p.Ended(tcp.ErrTimeout)
	}
}

// RFC 9293 §3.8.3 (MUST-21): R1 and R2 are the application's to set; R1 not to
// less than three (SHLD-10), R2 to infinity as well.
func TestThresholdsSet(t *testing.T) {
	for _, c := range []struct{ set, want int }{{1, 3}, {5, 5}} {
		var d doubts
		p := tcptest.Established(t, noProbe, d.config, func(f *tcp.Config) {
			f.R1, f.UserTimeout = c.set, -1
		})
		p.Write(100)
		p.Expect("PA 1+100 ack 1")
		rto := p.Conn.Info().RTO
		for i := range 6 {
			d.are(t, p, min(i/c.want, 1))
			p.After(rto<<i, "PA 1+100 ack 1")
		}
		p.Pass(48 * time.Hour)
		p.Drain()
		p.Is(tcp.Estab)
	}
}

// RFC 9293 §3.9.1.8 (MUST-47): what the network says without ending the
// connection, and R1, reach the application; (SHLD-20) unless it does not want
// to hear of them.
func TestSoftErrorReports(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		p := tcptest.Established(t, noProbe, tcptest.Tuned(tcp.Tuning{NoSoftErrors: quiet}))
		p.Write(100)
		p.Expect("PA 1+100 ack 1")
		p.Events = nil
		p.Control(tcp.Unreachable, 0, 1)
		told := p.Happened("soft_error")
		if err := p.Conn.Info().SoftError; told == quiet || quiet == errors.Is(err, tcp.ErrUnreachable) {
			t.Errorf("quiet %v: told %v, Info says %v", quiet, told, err)
		}
		p.Pass(10 * time.Second)
		p.Drain()
		if told := p.Happened("doubted"); told == quiet {
			t.Errorf("quiet %v: told of R1 %v", quiet, told)
		}
		p.Is(tcp.Estab)
		p.Abort()
		p.Expect("RA 101 ack 1")
	}
}
