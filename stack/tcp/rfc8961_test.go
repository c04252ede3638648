package tcp_test

import (
	"testing"

	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 8961 §4: the back-off goes with the delivery of data sent after the
// timeout and only once, though it waited at the peer for what was sent again,
// and so measures nothing.
func TestBackOffEnds(t *testing.T) {
	p := distant(t, tcptest.Simple, tcptest.NoDelay)
	p.Write(2 * 1460)
	p.Drain()
	rto := p.Conn.Info().RTO
	p.After(rto, "A 1+1460 ack 1")
	p.Write(1460)
	p.Pass(100 * ms)
	p.Send("A 1 ack 1461 win 65535")
	p.ExpectAll("PA 1461+1460 ack 1", "PA 2921+1460 ack 1")
	if got := p.Conn.Info().RTO; got != 2*rto {
		t.Errorf("RTO %v, want %v still", got, 2*rto)
	}
	p.Pass(100 * ms)
	p.Send("A 1 ack 4381 win 65535")
	if got := p.Conn.Info().RTO; got != rto {
		t.Errorf("RTO %v, want %v", got, rto)
	}
}
