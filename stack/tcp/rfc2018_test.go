package tcp_test

import (
	"testing"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 2018 §4: the first block holds the segment that came last, then those
// reported lately; as many as fit.
func TestSACKBlocks(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	early := func(at int, want string) {
		t.Helper()
		p.Send("A " + itoa(at) + "+10 ack 1 win 512")
		p.Expect("A 1 ack 1 sack " + want)
	}
	early(101, "101-111")
	early(301, "301-311,101-111")
	early(201, "201-211,301-311,101-111")
	early(501, "501-511,201-211,301-311,101-111")
	early(401, "401-411,501-511,201-211,301-311")
	early(111, "101-121,401-411,501-511,201-211")
	early(411, "401-421,101-121,501-511,201-211")
	p.Send("A 1+100 ack 1 win 512") // up to 121
	p.Expect("A 1 ack 121 sack 401-421,501-511,201-211,301-311")
	p.Send("A 121+400 ack 1 win 512")
	p.Expect("A 1 ack 521 no-sack")
	p.Read(520)
}

// RFC 2018 §4, RFC 2018 §3: three blocks beside timestamps.
func TestSACKBesideTimestamps(t *testing.T) {
	p := stamped(t)
	for i, want := range []string{"101-111", "201-211,101-111", "301-311,201-211,101-111", "401-411,301-311,201-211"} {
		p.Send("A " + itoa(101+100*i) + "+10 ack 1 win 512 ts 100/3600000")
		p.Expect("A 1 ack 1 sack " + want)
	}
}

// RFC 2018 §4: not without sack-permitted; RFC 2018 §2: that only on SYNs.
func TestNoSACK(t *testing.T) {
	p := tcptest.SynSent(t)
	p.Send("SA 0 ack 1 win 65535 mss 1460 ws 7")
	p.Expect("A 1 ack 1 no-sackok")
	p.Send("A 101+10 ack 1 win 512")
	p.Expect("A 1 ack 1 no-sack no-sackok")
}

// SACK blocks ride on data, which makes room for them.
func TestSACKOnData(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay)
	p.Send("A 101+10 ack 1 win 512")
	p.Expect("A 1 ack 1 sack 101-111")
	p.Write(1460)
	p.Expect("A 1+1448 ack 1 sack 101-111")
	p.Expect("PA 1449+12 ack 1 sack 101-111")
	p.Send("A 111 ack 1461 win 512")
}

// RFC 2883 §4: duplicates are reported once, in the first block.
func TestDSACK(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 1+100 ack 1 win 512")
	p.Read(100)
	// Below the cumulative ACK (§4.1.1).
	p.Send("A 1+100 ack 1 win 512")
	p.Expect("A 1 ack 101 sack 1-101")
	p.Conn.Ack(p.Now)
	p.Expect("A 1 ack 101 no-sack")
	// Within what is held: the second block holds it (§4.1.2).
	p.Send("A 201+100 ack 1 win 512")
	p.Expect("A 1 ack 101 sack 201-301")
	p.Send("A 301+100 ack 1 win 512")
	p.Expect("A 1 ack 101 sack 201-401")
	p.Send("A 201+100 ack 1 win 512")
	p.Expect("A 1 ack 101 sack 201-301,201-401")
	p.Send("A 401+100 ack 1 win 512")
	p.Expect("A 1 ack 101 sack 201-501")
	// Partial duplicate below the ACK (§4.2).
	p.Send("A 51+100 ack 1 win 512")
	p.Expect("A 1 ack 151 sack 51-101,201-501")
	p.Read(50)
}

// RFC 2018 §8: a receiver short of room keeps what is nearest; what it does
// not hold it does not report.
func TestReassemblyBound(t *testing.T) {
	p := tcptest.Established(t, tcptest.Tuned(tcp.Tuning{MaxWindow: 8 << 20, NoTimestamps: true}))
	for i := range 5000 {
		p.Send("A " + itoa(3+2*i) + "+1 ack 1 win 512")
		p.Drain()
	}
	p.Send("A 9999+1 ack 1 win 512")
	p.Expect("A 1 ack 1")
	p.Send("A 1+2 ack 1 win 512")
	p.Expect("A 1 ack 4")
	p.Read(3)
}
