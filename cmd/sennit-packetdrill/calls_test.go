//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/cmd/sennit-packetdrill/drill"
)

// TCP_INQ tells with each message what is left to read.
func TestINQ(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, unix.TCP_INQ, ints(1))
		s.in("P. 1:1001(1000) ack 1 win 257")
		want := func(read, left int) {
			s.t.Helper()
			a := s.d.run(fmt.Sprintf("recvmsg %d 600", fd))
			if int(a.result) != read || len(a.data) != read+4 || int(binary.NativeEndian.Uint32(a.data[read:])) != left {
				s.t.Errorf("%d read, %d bytes: want %d and %d left", a.result, len(a.data), read, left)
			}
		}
		want(600, 400)
		want(400, 0)
		s.in("F. 1001:1001(0) ack 1 win 257")
		want(0, 1)
	})
}

// An edge-triggered watch tells of each change, a level-triggered one of each
// state.
func TestEpoll(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		ep := s.call(0, "epoll_create")
		wait := func(n, events int) {
			s.t.Helper()
			a := s.d.run(fmt.Sprintf("epoll_wait %d 0", ep))
			if int(a.result) != n || n > 0 && int(binary.NativeEndian.Uint32(a.data)) != events {
				s.t.Errorf("%d events % x (%v), want %d, %#x", a.result, a.data, a.errno, n, events)
			}
		}
		s.call(0, "epoll_ctl %d %d %d %d", ep, unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLET&0xffffffff)
		s.fails(unix.EEXIST, "epoll_ctl %d %d %d 1", ep, unix.EPOLL_CTL_ADD, fd)
		wait(0, 0)
		for i := range 2 {
			s.in(fmt.Sprintf("P. %d:%d(10) ack 1 win 257", 1+10*i, 11+10*i))
			wait(1, unix.EPOLLIN)
			wait(0, 0)
		}
		s.call(0, "epoll_ctl %d %d %d %d", ep, unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN)
		wait(1, unix.EPOLLIN)
		wait(1, unix.EPOLLIN)
		s.call(0, "epoll_ctl %d %d %d 0", ep, unix.EPOLL_CTL_DEL, fd)
		wait(0, 0)
	})
}

// Scattered reads and writes are whole ones.
func TestVectors(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.call(100, "writev %d %s", fd, text(pattern(0, 100)))
		s.at = s.call(0, "time")
		s.out("P. 1:101(100) ack 1")
		s.in("P. 1:12(11) ack 101 win 257")
		if a := s.d.run(fmt.Sprintf("readv %d 50", fd)); string(a.data) != string(pattern(0, 11)) {
			s.t.Errorf("read % x", a.data)
		}
	})
}

// What is no socket fails as a system call does.
func TestBadCalls(t *testing.T) {
	both(t, in4, func(s *script) {
		s.fails(unix.EAFNOSUPPORT, "socket 1 %d 0", unix.SOCK_STREAM)
		s.fails(unix.EPROTONOSUPPORT, "socket 2 %d 17", unix.SOCK_STREAM)
		s.fails(unix.EBADF, "listen 999 1")
		s.fails(unix.EBADF, "close 999")
		fd := s.socket(0)
		s.fails(unix.ENOTCONN, "recv %d 10 0", fd)
		s.fails(unix.ENOTCONN, "shutdown %d 1", fd)
		s.fails(unix.EINVAL, "accept %d", fd)
		s.fails(unix.ENOPROTOOPT, "setsockopt %d 1 9999 %s", fd, ints(1))
		s.fails(unix.EINVAL, "setsockopt %d %d %d 00", fd, unix.SOL_SOCKET, unix.SO_REUSEADDR)
		s.call(0, "bind %d %s", fd, sockaddr(s.local))
		s.fails(unix.EINVAL, "bind %d %s", fd, sockaddr(s.local))
		other := s.socket(0)
		s.fails(unix.EADDRINUSE, "bind %d %s", other, sockaddr(s.local))
		// The descriptor is a real one.
		s.call(0, "close %d", other)
		s.fails(unix.EBADF, "fcntl %d %d 0", other, unix.F_GETFL)
	})
}

// Settings come from the file that overrides the namespace's.
func TestSettings(t *testing.T) {
	configure(t, "net.ipv4.tcp_timestamps = 0\nnet/ipv4/tcp_sack=0\n# net.ipv4.tcp_window_scaling = 0\nnet.ipv4.tcp_rmem = 1 2 4000000\n")
	both(t, "mtu=9000", func(s *script) {
		s.client(0)
		s.out("S 0:0(0) <mss 8960,nop,wscale 6>")
	})
}

// A namespace without Multipath TCP has no such sockets.
func TestNoMPTCP(t *testing.T) {
	configure(t, "net.mptcp.enabled = 0\n")
	both(t, in4, func(s *script) {
		s.fails(unix.ENOPROTOOPT, "socket 2 %d %d", unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
	})
}

func TestFlags(t *testing.T) {
	f, err := drill.ParseFlags("local=10.0.0.1/8,local=fd00::1,mtu=1280")
	if err != nil || len(f.Addrs) != 4 || f.Addrs[0].String() != "10.0.0.1" || f.Addrs[1].String() != "fd00::1" || f.MTU != 1280 {
		t.Errorf("%+v, %v", f, err)
	}
	for _, bad := range []string{"local=x", "mtu=1", "mtu=70000", "mtu=x", "speed=3"} {
		if _, err := drill.ParseFlags(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// quoted is an ICMP error about the first bytes of a packet of ours.
func (s *script) icmp(kind, code byte, mtu int, about string) {
	s.t.Helper()
	sent := s.encode(about)
	// The segment went the other way.
	b := append([]byte{kind, code, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, sent[:28]...)
	q := b[8:]
	copy(q[12:16], s.local.Addr().AsSlice())
	copy(q[16:20], s.remote.Addr().AsSlice())
	binary.BigEndian.PutUint16(q[20:], s.local.Port())
	binary.BigEndian.PutUint16(q[22:], s.remote.Port())
	binary.BigEndian.PutUint32(q[24:], s.theirs+1)
	s.call(0, "inject %s", text(ipPacket(s.remote.Addr(), s.local.Addr(), 1, b)))
}

// An ICMP error about a segment in flight: packet too big makes smaller ones of
// it (RFC 1191 §6.5); host unreachable does not end the connection
// (RFC 5927 §5.2).
func TestICMP(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		s.in("S 0:0(0) win 32792 <mss 1460>")
		s.out("S. 0:0(0) ack 1 <mss 1460>")
		s.pass(10 * ms)
		s.in(". 1:1(0) ack 1 win 32792")
		fd := int(s.call(0, "accept %d", l))
		s.write(fd, 0, 1460)
		s.at = s.call(0, "time")
		s.out("P. 1:1461(1460) ack 1")
		s.icmp(3, 1, 0, ". 1:1(0) ack 1 win 0")
		s.icmp(3, 4, 1000, ". 1:1(0) ack 1 win 0")
		s.at = s.call(0, "time")
		s.out(". 1:961(960) ack 1")
		s.in(". 1:1(0) ack 961 win 32792")
		a := s.d.run("next")
		if line, _ := s.decode(a.data); line != "P. 961:1461(500) ack 1" {
			s.t.Errorf("then came %s", line)
		}
	})
}

// A peer's silence ends a connection after TCP_USER_TIMEOUT (RFC 9293 §3.8.3),
// or when keep-alive probes go unanswered (§3.8.4).
func TestTimeouts(t *testing.T) {
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ints(3000))
		s.write(fd, 0, 10)
		s.pass(2900 * ms)
		s.wantOption(fd, unix.SOL_SOCKET, unix.SO_ERROR, 0)
		s.pass(500 * ms)
		s.wantOption(fd, unix.SOL_SOCKET, unix.SO_ERROR, int(unix.ETIMEDOUT))
	})
	both(t, in4, func(s *script) {
		l := s.listen(0)
		fd := s.handshake(l)
		for opt, v := range map[int]int{unix.TCP_KEEPIDLE: 5, unix.TCP_KEEPINTVL: 2, unix.TCP_KEEPCNT: 2} {
			s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, opt, ints(v))
		}
		s.call(0, "setsockopt %d %d %d %s", fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, ints(1))
		s.at = s.call(0, "time")
		s.after(5*time.Second, ". 0:0(0) ack 1")
		s.after(2*time.Second, ". 0:0(0) ack 1")
		s.pass(2100 * ms)
		s.wantOption(fd, unix.SOL_SOCKET, unix.SO_ERROR, int(unix.ETIMEDOUT))
	})
}
