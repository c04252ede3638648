package tcptest

import (
	"testing"

	"github.com/sennit-net/sennit/stack/tcp"
)

// Simple leaves all options but MSS out, so that segments are easy to count:
// 1460 bytes each.
func Simple(c *tcp.Config) {
	c.NoSACK, c.NoTimestamps, c.NoWindowScale = true, true, true
}

// NoTimestamps offers all but timestamps: segments of 1460 bytes, SACK.
func NoTimestamps(c *tcp.Config) { c.NoTimestamps = true }

// NoDelay switches the Nagle algorithm off.
func NoDelay(c *tcp.Config) { c.NoDelay = true }

// Listening is a connection in LISTEN.
func Listening(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := New(tb, opts...)
	p.Conn.Listen()
	p.Is(tcp.Listen)
	return p
}

// SynSent is a connection in SYN-SENT whose SYN was taken.
func SynSent(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := New(tb, opts...)
	p.Conn.Open(p.Now)
	p.Expect("S 0")
	p.Is(tcp.SynSent)
	return p
}

// peerSYN is the peer's options: all that there are. What the connection does
// not offer is ignored.
const peerSYN = " win 65535 mss 1460 sackok ws 7"

// SynReceived is a connection in SYN-RECEIVED by passive open.
func SynReceived(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := Listening(tb, opts...)
	p.Send("S 0" + peerSYN)
	p.Expect("SA 0 ack 1")
	p.Is(tcp.SynReceived)
	return p
}

// Established is a connection opened actively to a peer without timestamps.
func Established(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := SynSent(tb, opts...)
	p.Send("SA 0 ack 1" + peerSYN)
	p.Expect("A 1 ack 1")
	p.Is(tcp.Estab)
	return p
}

// Accepted is a connection opened passively.
func Accepted(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := SynReceived(tb, opts...)
	p.Send("A 1 ack 1" + p.Win)
	p.Is(tcp.Estab)
	return p
}

// FinWait1 is a connection whose FIN is not acknowledged.
func FinWait1(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := Established(tb, opts...)
	p.Shutdown(tcp.CloseWriting)
	p.Expect("FA 1 ack 1")
	p.Is(tcp.FinWait1)
	return p
}

// FinWait2 is a connection whose FIN is acknowledged.
func FinWait2(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := FinWait1(tb, opts...)
	p.Send("A 1 ack 2" + p.Win)
	p.Is(tcp.FinWait2)
	return p
}

// CloseWait is a connection whose peer has closed.
func CloseWait(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := Established(tb, opts...)
	p.Send("FA 1 ack 1" + p.Win)
	p.Expect("A 1 ack 2")
	p.Is(tcp.CloseWait)
	return p
}

// Closing is a connection on which both sides closed at once.
func Closing(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := FinWait1(tb, opts...)
	p.Send("FA 1 ack 1" + p.Win)
	p.Expect("A 2 ack 2")
	p.Is(tcp.Closing)
	return p
}

// LastAck is a connection that closed after its peer.
func LastAck(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := CloseWait(tb, opts...)
	p.Shutdown(tcp.CloseWriting)
	p.Expect("FA 1 ack 2")
	p.Is(tcp.LastAck)
	return p
}

// TimeWait is a connection that closed first.
func TimeWait(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := FinWait2(tb, opts...)
	p.Send("FA 1 ack 2" + p.Win)
	p.Expect("A 2 ack 2")
	p.Is(tcp.TimeWait)
	return p
}
