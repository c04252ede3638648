//go:build linux

package main

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ms  = time.Millisecond
	in4 = "mtu=1500"
	in6 = "local=fd00::1,mtu=1500"
)

// A server reads a request, answers, and the two sides close one after the
// other (RFC 9293 §3.6, cases 2 and 1).
func TestServer(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.fails(unix.EAGAIN, "recv %d 10 0", fd)
		s.in("P. 1:11(10) ack 1 win 257")
		s.out(". 1:1(0) ack 11")
		s.call(10, "ioctl %d %d", fd, unix.SIOCINQ)
		s.read(fd, 0, 10)
		s.write(fd, 0, 2500)
		s.out(". 1:1001(1000) ack 11")
		s.out(". 1001:2001(1000) ack 11")
		s.out("P. 2001:2501(500) ack 11")
		s.call(2500, "ioctl %d %d", fd, unix.SIOCOUTQ)
		s.pass(50 * ms)
		s.in(". 11:11(0) ack 2501 win 257")
		s.call(0, "ioctl %d %d", fd, unix.SIOCOUTQ)
		s.in("F. 11:11(0) ack 2501 win 257")
		s.read(fd, 10, 0)
		s.out(". 2501:2501(0) ack 12")
		s.call(0, "close %d", fd)
		s.at = s.call(0, "time")
		s.out("F. 2501:2501(0) ack 12")
		s.in(". 12:12(0) ack 2502 win 257")
		s.silent(5 * time.Second)
	})
}

// The same over IPv6, whose least MTU makes the segments (RFC 8200 §5).
func TestServerIPv6(t *testing.T) {
	both(t, "local=fd00::1,mtu=1280", func(s *script) {
		l := s.listen(0)
		s.in("S 0:0(0) win 32792 <mss 1440,sackOK,nop,nop,nop,wscale 7>")
		s.out("S. 0:0(0) ack 1 <mss 1220,nop,nop,sackOK,nop,wscale 8>")
		s.pass(10 * ms)
		s.in(". 1:1(0) ack 1 win 257")
		fd := int(s.call(0, "accept %d", l))
		s.write(fd, 0, 1300)
		s.out(". 1:1221(1220) ack 1")
		s.out("P. 1221:1301(80) ack 1")
	})
}

// Options on a SYN-ACK answer those of the SYN, in the usual order
// (RFC 7323 §2.2 and §3.2, RFC 2018 §2).
func TestSYNOptions(t *testing.T) {
	for name, c := range map[string]struct{ in, out string }{
		"all":    {"mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 7", "mss 1460,sackOK,TS val 1000 ecr 7,nop,wscale 8"},
		"none":   {"", "mss 1460"},
		"stamps": {"mss 1460,nop,nop,TS val 7 ecr 0", "mss 1460,nop,nop,TS val 1000 ecr 7"},
		"scale":  {"mss 1460,nop,wscale 2", "mss 1460,nop,wscale 8"},
		"sack":   {"mss 1460,nop,nop,sackOK", "mss 1460,nop,nop,sackOK"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, in4, func(s *script) {
				s.listen(0)
				s.in("S 0:0(0) win 1000 <" + c.in + ">")
				s.out("S. 0:0(0) ack 1 <" + c.out + ">")
			})
		})
	}
}

// A lost SYN-ACK is sent again after one second, then two (RFC 6298 §2, §5).
func TestSYNACKLost(t *testing.T) {
	both(t, in4, func(s *script) {
		s.listen(0)
		s.in("S 0:0(0) win 1000 <mss 1000>")
		s.out("S. 0:0(0) ack 1 <mss 1460>")
		s.after(time.Second, "S. 0:0(0) ack 1 <mss 1460>")
		s.after(2*time.Second, "S. 0:0(0) ack 1 <mss 1460>")
	})
}

// A segment without connection is answered with a RST (RFC 9293 §3.10.7.1).
func TestNobody(t *testing.T) {
	both(t, in4, func(s *script) {
		s.known = true
		s.in("S 0:0(0) win 1000")
		s.out("R. 0:0(0) ack 1")
		s.in(". 5:5(0) ack 77 win 1000")
		s.out("R 77:77(0)")
		s.in("R 5:5(0) win 1000")
		s.silent(time.Second)
	})
}

// A RST in its place ends the connection; the error is told once
// (RFC 9293 §3.10.7.4, RFC 5961 §3.2).
func TestReset(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.in("R. 100:100(0) ack 1 win 257") // in the window, not at its edge
		s.out(". 1:1(0) ack 1")
		s.in("R. 1:1(0) ack 1 win 257")
		s.fails(unix.ECONNRESET, "recv %d 10 0", fd)
		s.read(fd, 0, 0)
		s.fails(unix.EPIPE, "send %d 0 00", fd)
	})
}

// The same seen by SO_ERROR and poll.
func TestResetPolled(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.in("R. 1:1(0) ack 1 win 257")
		a := s.d.run(poll(fd, unix.POLLIN, 0))
		if got := int16(a.data[0]); a.result != 1 || got != unix.POLLIN|unix.POLLERR|unix.POLLHUP {
			s.t.Errorf("poll: %d events %#x", a.result, got)
		}
		s.wantOption(fd, unix.SOL_SOCKET, unix.SO_ERROR, int(unix.ECONNRESET))
		s.wantOption(fd, unix.SOL_SOCKET, unix.SO_ERROR, 0)
	})
}

// Close with bytes unread, or with a linger time of zero, is a RST
// (RFC 9293 §3.6.1, §3.10.5).
func TestCloseAborts(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.in("P. 1:11(10) ack 1 win 257")
		s.out(". 1:1(0) ack 11")
		s.call(0, "close %d", fd)
		s.at = s.call(0, "time")
		s.out("R. 1:1(0) ack 11")
	})
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.call(0, "setsockopt %d %d %d %s", fd, unix.SOL_SOCKET, unix.SO_LINGER, ints(1, 0))
		s.call(0, "close %d", fd)
		s.at = s.call(0, "time")
		s.out("R. 1:1(0) ack 1")
	})
}

// A closed window is probed, and what was written goes when it opens
// (RFC 9293 §3.8.6.1).
func TestZeroWindow(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.in(". 1:1(0) ack 1 win 0")
		s.write(fd, 0, 100)
		s.at = s.call(0, "time")
		a := s.d.run("next")
		if wait := time.Duration(a.result-s.at) * time.Microsecond; wait < 200*ms || wait > 2*time.Second {
			s.t.Errorf("probed after %v", wait)
		}
		s.pass(10 * ms)
		s.in(". 1:1(0) ack 1 win 257")
		for {
			a := s.d.run("next")
			if len(a.data) == 0 {
				s.t.Fatal("the data never came")
			}
			if line, _ := s.decode(a.data); line == "P. 1:101(100) ack 1" {
				break
			}
		}
	})
}

// Nagle holds a small segment back while another is unacknowledged
// (RFC 9293 §3.7.4); TCP_NODELAY does not. A cork holds it back in any case.
func TestSmallWrites(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.write(fd, 0, 10)
		s.write(fd, 10, 10)
		s.at = s.call(0, "time")
		s.out("P. 1:11(10) ack 1")
		s.pass(20 * ms)
		s.in(". 1:1(0) ack 11 win 257")
		s.out("P. 11:21(10) ack 1")
		s.in(". 1:1(0) ack 21 win 257")
		s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, ints(1))
		s.write(fd, 20, 10)
		s.write(fd, 30, 10)
		s.at = s.call(0, "time")
		s.out("P. 21:31(10) ack 1")
		s.out("P. 31:41(10) ack 1")
		s.in(". 1:1(0) ack 41 win 257")

		s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, unix.TCP_CORK, ints(1))
		s.write(fd, 40, 1200)
		s.at = s.call(0, "time")
		s.out("P. 41:1041(1000) ack 1")
		s.in(". 1:1(0) ack 1041 win 257")
		s.after(200*ms, "P. 1041:1241(200) ack 1")
		s.in(". 1:1(0) ack 1241 win 257")
		s.write(fd, 1240, 7)
		s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, unix.TCP_CORK, ints(0))
		s.at = s.call(0, "time")
		s.out("P. 1241:1248(7) ack 1")
	})
}

// The first of several segments is lost and sent again when later ones are
// reported (RFC 8985 §6.2), and TCP_INFO tells of it.
func TestLossAndInfo(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		if i := s.info(fd, 232); i.State != 1 || i.Snd_cwnd != 10 || i.Snd_mss != 1000 || i.Rtt != 100_000 && i.Rtt/1000 != 100 {
			s.t.Errorf("%+v", i)
		}
		s.write(fd, 0, 5000)
		s.at = s.call(0, "time")
		for i := range 4 {
			s.out(segment(".", i*1000+1, 1000))
		}
		s.out(segment("P.", 4001, 1000))
		if i := s.info(fd, 104); i.Unacked != 5 || i.Total_retrans != 0 || i.Options != 6 || i.Ca_state != 0 {
			s.t.Errorf("%+v", i)
		}
		s.pass(100 * ms)
		s.in(". 1:1(0) ack 1 win 257 <nop,nop,sack 1001:2001>")
		s.in(". 1:1(0) ack 1 win 257 <nop,nop,sack 1001:3001>")
		s.in(". 1:1(0) ack 1 win 257 <nop,nop,sack 1001:4001>")
		s.at = s.call(0, "time")
		s.out(segment(".", 1, 1000))
		if i := s.info(fd, 104); i.Ca_state != 3 || i.Sacked != 3 || i.Lost != 1 || i.Retrans != 1 {
			s.t.Errorf("%+v", i)
		}
		s.in(". 1:1(0) ack 5001 win 257")
		if i := s.info(fd, 300); i.Unacked != 0 || i.Total_retrans != 1 || i.Bytes_acked != 5000 {
			s.t.Errorf("%+v", i)
		}
	})
}

// Data before its turn is reported by SACK, the latest block first
// (RFC 2018 §4), and read in order.
func TestReassembly(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.in(". 1001:2001(1000) ack 1 win 257")
		s.out(". 1:1(0) ack 1 <nop,nop,sack 1001:2001>")
		s.in(". 3001:4001(1000) ack 1 win 257")
		s.out(". 1:1(0) ack 1 <nop,nop,sack 3001:4001 1001:2001>")
		s.in(". 1:1001(1000) ack 1 win 257")
		s.out(". 1:1(0) ack 2001 <nop,nop,sack 3001:4001>")
		s.read(fd, 0, 2000)
		s.in(". 2001:3001(1000) ack 1 win 257")
		s.out(". 1:1(0) ack 4001")
		s.read(fd, 2000, 2000)
	})
}

// Shutdown of reading alone changes nothing for the peer; of both directions,
// what still arrives is answered with a RST (RFC 9293 §3.6.1).
func TestShutdown(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.call(0, "shutdown %d %d", fd, unix.SHUT_RD)
		s.read(fd, 0, 0)
		s.in("P. 1:11(10) ack 1 win 257")
		s.out(". 1:1(0) ack 11")
		s.read(fd, 0, 10)
		s.read(fd, 10, 0)
		s.call(0, "shutdown %d %d", fd, unix.SHUT_WR)
		s.at = s.call(0, "time")
		s.out("F. 1:1(0) ack 11")
		s.in(". 11:11(0) ack 2 win 257")
		s.in("P. 11:21(10) ack 2 win 257")
		a := s.d.run("next")
		if line, _ := s.decode(a.data); line != "R. 2:2(0) ack 11" && line != "R 2:2(0)" {
			s.t.Errorf("answered with %s", line)
		}
	})
}

// The SYN-ACK is given up after tcp_synack_retries.
func TestSYNACKGivenUp(t *testing.T) {
	configure(t, "net.ipv4.tcp_synack_retries = 1\n")
	both(t, in4, func(s *script) {
		s.listen(0)
		s.in("S 0:0(0) win 1000 <mss 1000>")
		s.out("S. 0:0(0) ack 1 <mss 1460>")
		s.after(time.Second, "S. 0:0(0) ack 1 <mss 1460>")
		s.silent(time.Minute)
	})
}

// burst wants n segments of 1000 bytes at once, the last with PSH.
func (s *script) burst(from, n int) {
	s.t.Helper()
	for i := range n {
		flags := "."
		if i == n-1 {
			flags = "P."
		}
		s.out(segment(flags, from+1000*i, 1000))
	}
}

// The initial window is ten segments (RFC 6928 §2), and doubles in a round trip
// (RFC 5681 §3.1), all sent at once.
func TestSlowStart(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.write(fd, 0, 40000)
		s.at = s.call(0, "time")
		s.burst(1, 10)
		s.pass(100 * ms)
		for i := range 5 {
			s.in(fmt.Sprintf(". 1:1(0) ack %d win 1000", (i+1)*2000+1))
			s.burst(10001+4000*i, 4)
		}
		if i := s.info(fd, 232); i.Snd_cwnd != 20 || i.Snd_ssthresh != 0x7fffffff {
			s.t.Errorf("cwnd %d, ssthresh %d", i.Snd_cwnd, i.Snd_ssthresh)
		}
	})
}

// After a pause the window starts anew (RFC 5681 §4.1), unless
// tcp_slow_start_after_idle says otherwise.
func TestIdle(t *testing.T) {
	for idle, want := range map[int]uint32{1: 10, 0: 20} {
		t.Run(fmt.Sprint(idle), func(t *testing.T) {
			configure(t, fmt.Sprintf("net.ipv4.tcp_slow_start_after_idle = %d\n", idle))
			both(t, in4, func(s *script) {
				l := s.listen(0)
				fd := s.handshake(l)
				s.write(fd, 0, 10000)
				s.at = s.call(0, "time")
				s.burst(1, 10)
				s.pass(100 * ms)
				s.in(". 1:1(0) ack 10001 win 1000")
				s.pass(10 * time.Second)
				s.write(fd, 10000, 1000)
				if i := s.info(fd, 232); i.Snd_cwnd != want {
					s.t.Errorf("cwnd %d, want %d", i.Snd_cwnd, want)
				}
			})
		})
	}
}

// What is written beyond TCP_NOTSENT_LOWAT makes the socket not writable.
func TestNotSentLowat(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, ints(-1))
		s.write(fd, 0, 15000)
		s.at = s.call(0, "time")
		s.burst(1, 10)
		ready := func(want int64) {
			s.t.Helper()
			if a := s.d.run(poll(fd, unix.POLLOUT, 0)); a.result != want {
				s.t.Errorf("poll %d, want %d", a.result, want)
			}
		}
		ready(1)
		s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, ints(4000))
		ready(0)
		s.pass(100 * ms)
		s.in(". 1:1(0) ack 5001 win 1000")
		ready(1)
	})
}

// A tail that is lost is probed after two round trips (RFC 8985 §7.2), and sent
// again when the timer runs out, 200 ms at least.
func TestTailLoss(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.write(fd, 0, 2000)
		s.at = s.call(0, "time")
		s.out(segment(".", 1, 1000))
		s.out(segment("P.", 1001, 1000))
		s.after(200*ms, segment("P.", 1001, 1000))
		s.after(300*ms, segment(".", 1, 1000))
	})
}
