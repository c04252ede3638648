package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 5681 §4.2 allows an ACK for every segment: so it is while data begins to
// come, until it is answered by data (RFC 9293 §3.8.6.3: then delaying pays),
// and again after a silence.
func TestQuickAcks(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{QuickAcks: 3, NoTimestamps: true}))
	for i := range 3 {
		p.Send("A " + itoa(1+100*i) + "+100 ack 1" + p.Win)
		p.Expect("A 1 ack " + itoa(101+100*i))
	}
	p.Send("A 301+100 ack 1" + p.Win)
	p.After(40*time.Millisecond, "A 1 ack 401")
	p.Pass(10 * time.Second)
	p.Send("A 401+100 ack 1" + p.Win)
	p.Expect("A 1 ack 501")
	p.Write(10)
	p.Expect("PA 1+10 ack 501")
	p.Send("A 501+100 ack 11" + p.Win)
	p.After(40*time.Millisecond, "A 11 ack 601")
	p.Read(600)
}
