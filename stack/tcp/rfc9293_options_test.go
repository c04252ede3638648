package tcp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
	"github.com/sennit-net/sennit/stack/wire"
)

// overIPv6 puts the connection on IPv6.
func overIPv6(c *tcp.Config) {
	c.Local, c.Remote = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8::2]:80")
}

func mtu(n int) tcptest.Option { return func(c *tcp.Config) { c.MTU = n } }

// RFC 9293 §3.7.1: the MSS option tells the MTU less the fixed headers
// (MUST-67), options or not (RFC 6691 §3), and is on every SYN and SYN-ACK
// (MUST-14, SHLD-5, MAY-3), also where it is the default.
func TestOfferedMSS(t *testing.T) {
	for _, c := range []struct {
		mtu    int
		v6     bool
		mss    string
		manner tcptest.Option
	}{
		{1500, false, "1460", nil}, {1500, true, "1440", nil}, {576, false, "536", nil}, {1280, true, "1220", nil},
		{9000, false, "8960", nil}, {9000, true, "8940", tcptest.Simple}, {1500, false, "1460", tcptest.Simple},
		{65575 + 100, true, "65535", nil},
		{1500, false, "1460", func(c *tcp.Config) { c.OptionReserve = 28 }},
	} {
		o := []tcptest.Option{mtu(c.mtu)}
		if c.v6 {
			o = append(o, overIPv6)
		}
		if c.manner != nil {
			o = append(o, c.manner)
		}
		p := tcptest.New(t, o...)
		p.Conn.Open(p.Now)
		p.Expect("S 0 mss " + c.mss)
		p = tcptest.Listening(t, o...)
		p.Send("S 0 win 1000")
		p.Expect("SA 0 ack 1 mss " + c.mss)
	}
}

// RFC 9293 §3.7.1 (MUST-15): without an MSS option a peer gets segments of 536
// bytes over IPv4 and 1220 over IPv6, in either role.
func TestDefaultMSSOfBothFamilies(t *testing.T) {
	for _, c := range []struct {
		manner tcptest.Option
		first  string
	}{{tcptest.Simple, "A 1+536 ack 1"}, {overIPv6, "A 1+1220 ack 1"}} {
		p := tcptest.SynSent(t, tcptest.Simple, c.manner)
		p.Send("SA 0 ack 1 win 65535")
		p.Expect("A 1 ack 1")
		p.Write(3000)
		p.Expect(c.first)
		p.Drain()
		p = tcptest.Listening(t, tcptest.Simple, c.manner)
		p.Send("S 0 win 65535")
		p.Expect("SA 0 ack 1")
		p.Send("A 1 ack 1 win 65535")
		p.Write(3000)
		p.Expect(c.first)
		p.Drain()
	}
}

// RFC 2675 §5: an MSS of 65535 from an IPv6 peer says that the path MTU is the
// bound, not that segments are so long.
func TestJumboMSS(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.Simple, overIPv6)
	p.Send("SA 0 ack 1 win 65535 mss 65535")
	p.Expect("A 1 ack 1")
	p.Write(2000)
	p.ExpectAll("A 1+1440 ack 1", "PA 1441+560 ack 1")
	p.Send("A 1 ack 2001 win 65535")
}

// RFC 9293 §3.7.1 (MUST-16): whatever options travel along, no packet is longer
// than the path carries; they take from the payload.
func TestSegmentsFitThePath(t *testing.T) {
	for _, size := range []int{576, 1280, 1500} {
		for reserve := 0; reserve <= 28; reserve += 4 {
			p := tcptest.SynSent(t, tcptest.NoDelay, mtu(size), func(c *tcp.Config) { c.OptionReserve = reserve })
			p.Send("SA 0 ack 1 win 65535 mss 65000 sackok ts 7/3600000 ws 7")
			p.Expect("A 1 ack 1")
			for i := range 4 { // four holes to tell of
				p.Send("A " + itoa(101+200*i) + "+100 ack 1 win 512 ts 8/3600000")
			}
			p.Drain()
			p.Write(5000)
			most := 0
			for p.Conn.Info().BytesAcked < 5000 {
				seg := p.Take()
				n := 20 + seg.HeaderLen() + seg.Len()
				if n > size {
					t.Fatalf("a packet of %d bytes where %d fit (reserve %d)", n, size, reserve)
				}
				most = max(most, n)
				if p.Waiting() == 0 {
					p.Send("A 1 ack " + itoa(1+int(p.Conn.Info().BytesSent)) + " win 512 ts 9/3600000")
				}
			}
			if most < size-40 {
				t.Errorf("no packet is longer than %d where %d fit", most, size)
			}
		}
	}
}

// RFC 9293 §3.7.1 (MUST-16): a full segment that is sent again has no room for
// SACK blocks, and gets none.
func TestRetransmissionFitsThePath(t *testing.T) {
	for _, super := range []int{0, 65000} {
		p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay, noProbe,
			func(c *tcp.Config) { c.MaxSuper = super })
		p.Write(1460)
		p.Expect("PA 1+1460 ack 1")
		p.Send("A 101+100 ack 1 win 512")
		p.Expect("A 1461 ack 1 sack 101-201")
		p.Pass(p.Conn.Info().RTO)
		for p.Waiting() > 0 {
			seg := p.Take()
			payload := seg.Len()
			if seg.MSS > 0 {
				payload = min(payload, int(seg.MSS))
			}
			if n := 20 + seg.HeaderLen() + payload; n > 1500 {
				t.Errorf("a packet of %d bytes: %v", n, seg)
			}
		}
		p.Send("A 1 ack 1461 win 512")
	}
}

// RFC 9293 §3.1 (MUST-5): an option may come with any segment. Unknown ones
// change nothing (MUST-6).
func TestOptionsAnywhere(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("A 1+100 ack 1 win 512 opt fd06000102030000")
	p.After(40*time.Millisecond, "A 1 ack 101")
	p.Read(100)
	p.Send("FA 101 ack 1 win 512 opt fd04f989")
	p.Expect("A 1 ack 102")
	p.Is(tcp.CloseWait)
	p.Send("R 102 opt fe04f98901")
	p.Ended(tcp.ErrReset)
	p = tcptest.Listening(t)
	p.Send("S 0 win 65535 mss 1400 opt c806aabbccdd")
	p.Expect("SA 0 ack 1 mss 1460")
	p.Send("A 1 ack 1 win 65535 opt c806aabbccdd")
	p.Is(tcp.Estab)
	if mss := p.Conn.Info().MSS; mss != 1400 {
		t.Errorf("MSS %d, want 1400", mss)
	}
}

// RFC 9293 §3.2 (MUST-65): the MSS option is sent with a SYN only, and means
// nothing elsewhere.
func TestMSSOnSYNOnly(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps, tcptest.NoDelay)
	p.Send("A 1+10 ack 1 win 512 mss 100")
	p.After(40*time.Millisecond, "A 1 ack 11 no-mss")
	p.Write(1500)
	p.ExpectAll("A 1+1460 ack 11 no-mss", "PA 1461+40 ack 11 no-mss")
	p.Send("A 11 ack 1501 win 512 mss 100")
	if mss := p.Conn.Info().MSS; mss != 1460 {
		t.Errorf("MSS %d, want 1460", mss)
	}
	p.Shutdown(tcp.CloseWriting)
	p.Expect("FA 1501 ack 11 no-mss")
	p.Abort()
	if seg := p.Expect("RA 1502 ack 11 no-mss"); seg.Options != (wire.Options{WindowScale: -1}) {
		t.Errorf("options on a RST: %+v", seg.Options)
	}
}
