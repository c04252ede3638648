//go:build linux

package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The cookie of these addresses under this key, as Linux makes it.
const (
	fastSettings = "net.ipv4.tcp_fastopen = 0x403\nnet.ipv4.tcp_timestamps = 0\n" +
		"net.ipv4.tcp_fastopen_key = a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4\n"
	fastCookie = "raw 220a3021b9d889017eeb"
)

// A server takes data on a SYN with the right cookie, hands it over before the
// handshake is done, and gives the cookie to who asks (RFC 7413 §4.2.2).
func TestFastOpenServer(t *testing.T) {
	configure(t, fastSettings)
	both(t, in4, func(s *script) {
		l := s.listen(0)
		s.in("S 0:10(10) win 32792 <mss 1460,sackOK,nop,nop," + fastCookie + ",nop,nop>")
		s.out("S. 0:0(0) ack 11 <mss 1460,nop,nop,sackOK>")
		fd := int(s.call(0, "accept %d", l))
		s.nonblock(fd)
		s.read(fd, 0, 10)
		if i := s.info(fd, 104); i.Options&32 == 0 {
			s.t.Errorf("options %#x", i.Options)
		}
		s.write(fd, 0, 100)
		s.at = s.call(0, "time")
		s.out("P. 1:101(100) ack 11")
	})
	both(t, in4, func(s *script) {
		s.listen(0)
		s.in("S 0:10(10) win 32792 <mss 1460,raw 2202,nop,nop>")
		s.out("S. 0:0(0) ack 1 <mss 1460," + fastCookie + ",nop,nop>")
	})
}

// A client asks for a cookie, and with it puts data on its next SYN
// (RFC 7413 §4.2.1), as much as an MSS less all options.
func TestFastOpenClient(t *testing.T) {
	configure(t, fastSettings)
	both(t, in4, func(s *script) {
		fd := s.socket(0)
		s.nonblock(fd)
		s.fails(unix.EINPROGRESS, "sendto %d %d %s", fd, unix.MSG_FASTOPEN, sockaddr(s.remote))
		s.at = s.call(0, "time")
		s.out("S 0:0(0) <mss 1460,nop,nop,sackOK,nop,wscale 8,raw 2202,nop,nop>")
		s.pass(10 * ms)
		s.in("S. 0:0(0) ack 1 win 14600 <mss 940,nop,nop,sackOK,nop,wscale 6,raw 2206abcd1234,nop,nop>")
		s.out(". 1:1(0) ack 1")
		s.in("R. 1:1(0) ack 1 win 0")

		s.known = false
		fd = s.socket(0)
		s.nonblock(fd)
		s.call(900, "sendto %d %d %s %s", fd, unix.MSG_FASTOPEN, sockaddr(s.remote), text(pattern(0, 2000)))
		s.at = s.call(0, "time")
		s.out("S 0:900(900) <mss 1460,nop,nop,sackOK,nop,wscale 8,raw 2206abcd1234,nop,nop>")
		s.pass(10 * ms)
		s.in("S. 0:0(0) ack 901 win 14600 <mss 1460,nop,nop,sackOK,nop,wscale 6>")
		s.out(". 901:901(0) ack 1")
		if i := s.info(fd, 104); i.Options&32 == 0 {
			s.t.Errorf("options %#x", i.Options)
		}

		// connect leaves it to the first write.
		s.known = false
		fd = s.socket(0)
		s.call(0, "setsockopt %d %d %d %s", fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, ints(1))
		s.nonblock(fd)
		s.call(0, "connect %d %s", fd, sockaddr(s.remote))
		s.write(fd, 0, 10)
		s.at = s.call(0, "time")
		s.out("S 0:10(10) <mss 1460,nop,nop,sackOK,nop,wscale 8,raw 2206abcd1234,nop,nop>")
	})
}
