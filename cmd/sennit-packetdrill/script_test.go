//go:build linux

package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-net/sennit/stack/wire"
)

// script plays the network and the application against a subject. Segments are
// written as in tcpdump: flags, first:last(length) relative to the SYN, ack,
// win, and every option byte between angle brackets, NOPs included. A segment
// expected without "win" may have any window; TS values count from the first
// seen, which is 1000 for the subject.
type script struct {
	t             *testing.T
	d             subject
	family        int
	local, remote netip.AddrPort

	ours, theirs uint32 // sequence numbers of the SYNs
	known        bool   // theirs: the subject's
	stamp        uint32 // the subject's first TSval
	stamped      bool
	at           int64 // microseconds: of the last packet, or call
}

func newScript(t *testing.T, d subject, flags string) *script {
	s := &script{t: t, d: d, family: unix.AF_INET, ours: 0xfffffff0,
		local:  netip.MustParseAddrPort("192.168.0.1:8080"),
		remote: netip.MustParseAddrPort("192.0.2.1:40000")}
	if strings.Contains(flags, "local=fd00::1") {
		s.family = unix.AF_INET6
		s.local = netip.MustParseAddrPort("[fd00::1]:8080")
		s.remote = netip.MustParseAddrPort("[fd00::2]:40000")
	}
	s.at = s.call(0, "time")
	return s
}

// call runs a command that must give a result; want 0: not negative.
func (s *script) call(want int64, format string, args ...any) int64 {
	s.t.Helper()
	a := s.d.run(fmt.Sprintf(format, args...))
	if a.result < 0 || want != 0 && a.result != want {
		s.t.Fatalf("%.60s: %d (%v), want %d", fmt.Sprintf(format, args...), a.result, a.errno, want)
	}
	return a.result
}

// fails runs a command that must fail with e.
func (s *script) fails(e unix.Errno, format string, args ...any) {
	s.t.Helper()
	if a := s.d.run(fmt.Sprintf(format, args...)); a.result != -1 || a.errno != e {
		s.t.Fatalf("%.60s: %d (%v), want %v", fmt.Sprintf(format, args...), a.result, a.errno, e)
	}
}

// pass lets time go by.
func (s *script) pass(d time.Duration) {
	s.call(0, "sleep %d", d.Microseconds())
	s.at = s.call(0, "time")
}

// sockaddr in hexadecimal.
func sockaddr(a netip.AddrPort) string {
	var b []byte
	if a.Addr().Is4() {
		b = binary.NativeEndian.AppendUint16(b, unix.AF_INET)
		b = binary.BigEndian.AppendUint16(b, a.Port())
		b = append(append(b, a.Addr().AsSlice()...), make([]byte, 8)...)
	} else {
		b = binary.NativeEndian.AppendUint16(b, unix.AF_INET6)
		b = binary.BigEndian.AppendUint16(b, a.Port())
		b = append(append(append(b, 0, 0, 0, 0), a.Addr().AsSlice()...), 0, 0, 0, 0)
	}
	return hex.EncodeToString(b)
}

func text(b []byte) string { return hex.EncodeToString(b) }

func ints(n ...int) string {
	var b []byte
	for _, i := range n {
		b = binary.NativeEndian.AppendUint32(b, uint32(i))
	}
	return text(b)
}

// pattern is n bytes from offset off of a stream.
func pattern(off, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((off + i) % 251)
	}
	return b
}

func (s *script) socket(protocol int) int {
	s.t.Helper()
	return int(s.call(0, "socket %d %d %d", s.family, unix.SOCK_STREAM, protocol))
}

// listen makes a listener on the local end.
func (s *script) listen(protocol int) int {
	s.t.Helper()
	fd := s.socket(protocol)
	s.call(0, "setsockopt %d %d %d %s", fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, ints(1))
	s.call(0, "bind %d %s", fd, sockaddr(s.local))
	s.call(0, "listen %d 1", fd)
	return fd
}

// handshake is the usual opening of a connection to a listener without
// timestamps.
func (s *script) handshake(l int) int {
	s.t.Helper()
	s.in("S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>")
	s.out("S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 8>")
	s.pass(100 * time.Millisecond)
	s.in(". 1:1(0) ack 1 win 257")
	fd := int(s.call(0, "accept %d", l))
	s.nonblock(fd)
	return fd
}

func (s *script) nonblock(fd int) { s.call(0, "fcntl %d %d %d", fd, unix.F_SETFL, unix.O_NONBLOCK) }

func (s *script) write(fd, off, n int) {
	s.t.Helper()
	s.call(int64(n), "send %d 0 %s", fd, text(pattern(off, n)))
}

// read wants n bytes of the stream at off, all there is.
func (s *script) read(fd, off, n int) {
	s.t.Helper()
	a := s.d.run(fmt.Sprintf("recv %d 100000 0", fd))
	if a.result != int64(n) || string(a.data) != string(pattern(off, n)) {
		s.t.Fatalf("read %d (%v), want %d bytes from %d", a.result, a.errno, n, off)
	}
}

// in injects a segment.
func (s *script) in(segment string) {
	s.t.Helper()
	s.call(0, "inject %s", text(s.encode(segment)))
}

// out wants the next segment to be this one, at once.
func (s *script) out(segment string) { s.t.Helper(); s.after(0, segment) }

// after wants the next segment to be this one, d after the last event, a
// millisecond more or less.
func (s *script) after(d time.Duration, segment string) {
	s.t.Helper()
	a := s.d.run("next")
	if len(a.data) == 0 {
		s.t.Fatalf("nothing came out; want %s", segment)
	}
	got, window := s.decode(a.data)
	want := segment
	if before, rest, has := strings.Cut(segment, " win "); has {
		w, options, _ := strings.Cut(rest, " ")
		if strconv.Itoa(window) != w {
			s.t.Errorf("window %d; want %s", window, segment)
		}
		want = strings.TrimSpace(before + " " + options)
	}
	if got != want {
		s.t.Fatalf("out: %s win %d\nwant: %s", got, window, segment)
	}
	if took := time.Duration(a.result-s.at) * time.Microsecond; (took - d).Abs() > time.Millisecond {
		s.t.Fatalf("%s came after %v, want %v", segment, took, d)
	}
	s.at = a.result
}

// silent wants nothing to come out for d.
func (s *script) silent(d time.Duration) {
	s.t.Helper()
	s.pass(d)
	// What left by now would be first in line before what this provokes.
	s.call(0, "inject %s", text(s.probe()))
	a := s.d.run("next")
	if got, _ := s.decode(a.data); !strings.HasPrefix(got, "R") {
		s.t.Fatalf("%s came out; want nothing", got)
	}
	s.at = s.call(0, "time")
}

// probe is a packet of no connection: it is answered with a RST.
func (s *script) probe() []byte {
	return packet(netip.AddrPortFrom(s.remote.Addr(), 9), netip.AddrPortFrom(s.local.Addr(), 9),
		&wire.Segment{Flags: wire.ACK, Options: wire.Options{WindowScale: -1}}, nil, nil)
}
