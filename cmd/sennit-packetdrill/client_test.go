//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func poll(fd, events, timeout int) string { return fmt.Sprintf("poll %d %d %d", fd, events, timeout) }

func segment(flags string, from, n int) string {
	return fmt.Sprintf("%s %d:%d(%d) ack 1", flags, from, from+n, n)
}

// client connects without waiting.
func (s *script) client(protocol int) int {
	s.t.Helper()
	fd := s.socket(protocol)
	s.nonblock(fd)
	s.fails(unix.EINPROGRESS, "connect %d %s", fd, sockaddr(s.remote))
	s.at = s.call(0, "time")
	return fd
}

// info is TCP_INFO asked for with a length of n.
func (s *script) info(fd, n int) (i unix.TCPInfo) {
	s.t.Helper()
	a := s.d.run(fmt.Sprintf("getsockopt %d %d %d %d", fd, unix.IPPROTO_TCP, unix.TCP_INFO, n))
	if len(a.data) != n {
		s.t.Fatalf("%d bytes of TCP_INFO (%v), want %d", len(a.data), a.errno, n)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&i)), unsafe.Sizeof(i)), a.data)
	return i
}

// A client connects, writes, and is the first to close (RFC 9293 §3.5, §3.6).
func TestClient(t *testing.T) {
	both(t, in4, func(s *script) {
		fd := s.client(0)
		s.out("S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8>")
		s.fails(unix.EALREADY, "connect %d %s", fd, sockaddr(s.remote))
		s.pass(20 * ms)
		s.in("S. 0:0(0) ack 1 win 5792 <mss 1460,sackOK,TS val 700 ecr 1000,nop,wscale 7>")
		s.out(". 1:1(0) ack 1 <nop,nop,TS val 1020 ecr 700>")
		s.wantOption(fd, unix.SOL_SOCKET, unix.SO_ERROR, 0)
		s.fails(unix.EISCONN, "connect %d %s", fd, sockaddr(s.remote))
		s.wantOption(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1448)
		s.write(fd, 0, 100)
		s.out("P. 1:101(100) ack 1 <nop,nop,TS val 1020 ecr 700>")
		s.call(0, "shutdown %d %d", fd, unix.SHUT_WR)
		s.fails(unix.EPIPE, "send %d 0 00", fd)
		s.out("F. 101:101(0) ack 1 <nop,nop,TS val 1020 ecr 700>")
		s.pass(20 * ms)
		s.in(". 1:1(0) ack 102 win 257 <nop,nop,TS val 720 ecr 1020>")
		s.in("F. 1:1(0) ack 102 win 257 <nop,nop,TS val 720 ecr 1020>")
		s.out(". 102:102(0) ack 2 <nop,nop,TS val 1040 ecr 720>")
		s.read(fd, 0, 0)
		if i := s.info(fd, 104); i.State != 6 {
			s.t.Errorf("state %d, want TIME-WAIT", i.State)
		}
		s.call(0, "close %d", fd)
	})
}

// A refused connection (RFC 9293 §3.10.7.3), and one that nobody answers:
// TCP_SYNCNT says how often a SYN is sent again.
func TestConnectFails(t *testing.T) {
	both(t, in4, func(s *script) {
		fd := s.client(0)
		s.out("S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8>")
		s.in("R. 0:0(0) ack 1 win 0")
		s.wantOption(fd, unix.SOL_SOCKET, unix.SO_ERROR, int(unix.ECONNREFUSED))
	})
	both(t, in4, func(s *script) {
		fd := s.socket(0)
		s.nonblock(fd)
		s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, unix.TCP_SYNCNT, ints(1))
		s.fails(unix.EINPROGRESS, "connect %d %s", fd, sockaddr(s.remote))
		s.at = s.call(0, "time")
		s.out("S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8>")
		s.after(time.Second, "S 0:0(0) <mss 1460,sackOK,TS val 2000 ecr 0,nop,wscale 8>")
		s.pass(3 * time.Second)
		s.wantOption(fd, unix.SOL_SOCKET, unix.SO_ERROR, int(unix.ETIMEDOUT))
	})
}

// Calls that block do so in a thread of their own, until a packet or the clock
// ends them.
func TestBlocking(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		s.call(0, "async accept %d", l)
		s.in("S 0:0(0) win 32792 <mss 1000>")
		s.out("S. 0:0(0) ack 1 <mss 1460>")
		s.in(". 1:1(0) ack 1 win 32792")
		fd := s.d.run("join").result
		s.call(0, "async recv %d 100 0", fd)
		s.pass(time.Second)
		s.in("P. 1:11(10) ack 1 win 32792")
		if a := s.d.run("join"); a.result != 10 {
			s.t.Errorf("read %d (%v)", a.result, a.errno)
		}
		s.call(0, "async poll %d %d 500", fd, unix.POLLIN)
		s.pass(499 * ms)
		s.pass(10 * ms)
		if a := s.d.run("join"); a.result != 0 {
			s.t.Errorf("poll %d (%v)", a.result, a.errno)
		}
	})
	both(t, in4, func(s *script) {
		fd := s.socket(0)
		s.call(0, "async connect %d %s", fd, sockaddr(s.remote))
		s.at = s.call(0, "time")
		s.out("S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 8>")
		s.in("S. 0:0(0) ack 1 win 5792 <mss 1460>")
		s.out(". 1:1(0) ack 1")
		if a := s.d.run("join"); a.result != 0 {
			s.t.Errorf("connect: %v", a.errno)
		}
	})
	// On the thread that drives time, a limit is reached by letting it pass.
	both(t, in4, func(s *script) {
		l := s.listen(0)
		s.call(0, "%s", poll(l, unix.POLLIN, 1500))
		if took := s.call(0, "time") - s.at; took < 1_500_000 || took > 1_500_100 {
			s.t.Errorf("%d us", took)
		}
	})
}

// A write that finds the send buffer full waits until some of it is
// acknowledged.
func TestBlockingWrite(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		s.call(0, "setsockopt %d %d %d %s", l, unix.SOL_SOCKET, unix.SO_SNDBUF, ints(4000))
		fd := s.handshake(l)
		s.call(0, "fcntl %d %d 0", fd, unix.F_SETFL)
		s.call(0, "async send %d 0 %s", fd, text(pattern(0, 6000)))
		s.at = s.call(0, "time")
		for i := range 4 {
			flags := "."
			if i == 3 {
				flags = "P."
			}
			s.out(segment(flags, i*1000+1, 1000))
		}
		s.in(". 1:1(0) ack 2001 win 257")
		s.in(". 1:1(0) ack 4001 win 257")
		if a := s.d.run("join"); a.result != 6000 {
			s.t.Errorf("wrote %d (%v)", a.result, a.errno)
		}
	})
}

// wantOption wants getsockopt to give this number.
func (s *script) wantOption(fd, level, opt, want int) {
	s.t.Helper()
	a := s.d.run(fmt.Sprintf("getsockopt %d %d %d 4", fd, level, opt))
	if len(a.data) != 4 || int(binary.NativeEndian.Uint32(a.data)) != want {
		s.t.Errorf("option %d/%d: % x (%v), want %d", level, opt, a.data, a.errno, want)
	}
}
