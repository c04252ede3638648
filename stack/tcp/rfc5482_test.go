package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

func announcing(u time.Duration) tcptest.Option {
	return tcptest.Tuned(tcp.Tuning{AnnounceTimeout: true, UserTimeout: u, NoTimestamps: true, NoPacing: true})
}

// RFC 5482 §3.2, RFC 5482 §3.3: kind 28, seconds or minutes, on the SYN, on the first
// segment after it, and after a change; on none else.
func TestUserTimeoutSent(t *testing.T) {
	for u, want := range map[time.Duration]string{
		2 * time.Minute: "1c040078", 9 * time.Hour: "1c047e90", 20 * time.Hour: "1c0484b0",
		0: "1c040384", time.Millisecond: "1c040001", -1: "1c04ffff",
	} {
		if u == 9*time.Hour {
			want = "1c04" + "7e90"
		}
		p := tcptest.New(t, announcing(u))
		p.Conn.Open(p.Now)
		p.Expect("S 0 opt " + want)
		if u == time.Millisecond {
			p.Pass(time.Millisecond)
			continue
		}
		p.Send("SA 0 ack 1 win 65535 mss 1460")
		p.Expect("A 1 ack 1 opt " + want)
		p.Write(1)
		p.Expect("PA 1+1 ack 1 no-opt")
		p.Stream.Tune(p.Now, tcp.Tuning{AnnounceTimeout: true, UserTimeout: 5 * time.Minute})
		p.Send("A 1+1 ack 2 win 65535")
		p.After(40*time.Millisecond, "A 2 ack 2 opt 1c04012c")
	}
	p := tcptest.New(t, tcptest.NoTimestamps)
	p.Conn.Open(p.Now)
	p.Expect("S 0 no-opt")
}

// RFC 5482 §3.1: where the application left it open, the longer of both counts,
// within limits; zero is reserved and ignored (RFC 5482 §3.3); where the application set
// one, the peer's is only told (RFC 5482 §3).
func TestUserTimeoutAdopted(t *testing.T) {
	for _, c := range []struct {
		own  time.Duration
		opt  string
		want time.Duration
		told bool
	}{
		{0, "1c048014", 20 * time.Minute, true}, // minutes
		{0, "1c0404b0", 20 * time.Minute, true}, // seconds
		{0, "1c04000a", 15 * time.Minute, true}, // ours is longer
		{0, "1c04ffff", 2 * time.Hour, true},    // U_LIMIT
		{0, "1c040000", 15 * time.Minute, false},
		{0, "1c048000", 15 * time.Minute, false},
		{0, "1c03ff", 15 * time.Minute, false},
		{time.Minute, "1c048014", time.Minute, true},
	} {
		p := tcptest.SynSent(t, announcing(c.own))
		p.Send("SA 0 ack 1 win 65535 mss 1460 opt " + c.opt)
		p.Expect("A 1 ack 1")
		if got := p.Happened("peer_timeout"); got != c.told {
			t.Errorf("%s: told %v", c.opt, got)
		}
		p.Write(1)
		p.Expect("PA 1+1 ack 1")
		p.Pass(c.want - 1)
		p.Is(tcp.Estab)
		p.Pass(1)
		p.Drain()
		p.Ended(tcp.ErrTimeout)
	}
}

// RFC 5482 §3: without the application's leave the option has no effect.
func TestUserTimeoutIgnored(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.NoTimestamps)
	p.Send("SA 0 ack 1 win 65535 mss 1460 opt 1c048014")
	p.Expect("A 1 ack 1 no-opt")
	p.Write(1)
	p.Pass(15 * time.Minute)
	p.Drain()
	p.Ended(tcp.ErrTimeout)
}

// RFC 5482 §4.2: keep-alive waits for longer than the timeout adopted.
func TestUserTimeoutBeforeKeepAlive(t *testing.T) {
	p := tcptest.SynSent(t, tcptest.Tuned(tcp.Tuning{AnnounceTimeout: true, NoTimestamps: true,
		KeepAlive: tcp.KeepAlive{Idle: time.Minute}}))
	p.Send("SA 0 ack 1 win 65535 mss 1460 opt 1c048014")
	p.Expect("A 1 ack 1")
	p.Quiet(20 * time.Minute)
	p.After(time.Second, "A 0 ack 1")
	p.Send("A 1 ack 1 win 65535")
}

// RFC 2385 §3, RFC 5925 §7.3: a signed segment cannot be checked without keys;
// it has no effect, and a reason by name.
func TestSigned(t *testing.T) {
	const md5 = " opt 1312000102030405060708090a0b0c0d0e0f"
	const ao = " opt 1d0c01020102030405060708"
	for _, opt := range []string{md5, ao} {
		p := tcptest.Listening(t, tcptest.NoTimestamps)
		p.Send("S 0 win 65535 mss 1460" + opt)
		p.Nothing()
		p.Is(tcp.Listen)
		p = tcptest.Established(t, tcptest.NoTimestamps)
		p.Rejected()
		p.Send("PA 1+10 ack 1 win 512" + opt)
		p.Nothing()
		p.ReadErr(tcp.ErrWouldBlock)
		if r := p.Rejected(); len(r) != 1 || r[0] != tcp.Signed || r[0].String() != "signed" {
			t.Errorf("rejected for %v", r)
		}
	}
}
