//go:build linux

package uplink

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sennit-net/sennit/bench/lab"
	"github.com/sennit-net/sennit/tun"
)

// snapshot is everything of a namespace that Setup touches, as text.
func snapshot(t *testing.T, h *lab.Host) string {
	t.Helper()
	var b strings.Builder
	for _, args := range [][]string{
		{"ip", "-o", "link"}, {"ip", "-o", "addr"}, {"ip", "rule"}, {"ip", "-6", "rule"},
		{"ip", "route", "show", "table", "all"}, {"ip", "-6", "route", "show", "table", "all"},
		{"nft", "list", "ruleset"},
		{"sh", "-c", "for f in $(find /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf -name '*forwarding' -o -name accept_ra -o -name rp_filter | sort); do echo $f $(cat $f); done"},
	} {
		r, err := h.Run(context.Background(), args[0], args[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(strings.Join(args, " ") + "\n" + r.Stdout + "\n")
	}
	// Link-local addresses come up by themselves a moment after their device.
	var lines []string
	for _, l := range strings.Split(b.String(), "\n") {
		if !strings.Contains(l, "fe80:") {
			lines = append(lines, strings.TrimSpace(l))
		}
	}
	return strings.Join(lines, "\n")
}

// same fails the test with the lines that differ.
func same(t *testing.T, before, after string) {
	t.Helper()
	if before == after {
		return
	}
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, l := range a {
		if !slices.Contains(b, l) {
			t.Errorf("gone:  %s", l)
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			t.Errorf("added: %s", l)
		}
	}
	if !t.Failed() {
		t.Errorf("order changed:\n%s\n\n%s", before, after)
	}
}

// newLab builds a lab whose link-local addresses have settled: before, nobody
// finds a neighbour for a forwarded IPv6 packet.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	l := lab.ForTest(t, lab.Options{})
	for _, h := range []*lab.Host{l.Client, l.Router, l.Server} {
		for range 200 {
			r, err := h.Run(context.Background(), "ip", "-6", "addr", "show", "tentative")
			if err != nil {
				t.Fatal(err)
			}
			if r.Stdout == "" {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return l
}

// setup runs Setup in the client's namespace.
func setup(t *testing.T, l *lab.Lab, c Config) *Host {
	t.Helper()
	h, err := trySetup(l, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIn(t, l, h) })
	return h
}

func trySetup(l *lab.Lab, c Config) (h *Host, err error) {
	err = l.Client.Do(func() error {
		var err error
		h, err = Setup(c)
		return err
	})
	return h, err
}

func closeIn(t *testing.T, l *lab.Lab, h *Host) {
	t.Helper()
	if err := l.Client.Do(h.Close); err != nil {
		t.Error(err)
	}
}

// ping sends one echo request into the link's device and waits for its answer.
func ping(t *testing.T, l *Link, dst netip.Addr) bool {
	t.Helper()
	answered := make(chan bool, 1)
	go func() {
		buf := make([]byte, tun.MaxPacket)
		for {
			var m tun.Meta
			n, err := l.Device.Read([][]byte{buf}, &m)
			if err != nil {
				answered <- false
				return
			}
			if isReply(buf[:n], dst) {
				answered <- true
				return
			}
		}
	}()
	src := l.IPv4.Peer
	if dst.Is6() {
		src = l.IPv6.Peer
	}
	packet := echoRequest(src, dst)
	for range 10 {
		if err := l.Device.Write([][]byte{packet}, tun.Meta{}); err != nil {
			t.Fatal(err)
		}
		select {
		case ok := <-answered:
			return ok
		case <-time.After(200 * time.Millisecond):
		}
	}
	// Wake the reader up; the device is of no use afterwards.
	l.Device.Close()
	<-answered
	return false
}

// echoRequest builds an ICMP or ICMPv6 echo request (RFC 792, RFC 4443 §4.1).
func echoRequest(src, dst netip.Addr) []byte {
	icmp := []byte{8, 0, 0, 0, 0x12, 0x34, 0, 1, 's', 'e', 'n', 'n', 'i', 't'}
	var ip, pseudo []byte
	if dst.Is4() {
		ip = append([]byte{0x45, 0, 0, byte(20 + len(icmp)), 0, 0, 0x40, 0, 64, 1, 0, 0}, append(src.AsSlice(), dst.AsSlice()...)...)
		binary.BigEndian.PutUint16(ip[10:], sum(ip))
	} else {
		icmp[0] = 128
		ip = append([]byte{0x60, 0, 0, 0, 0, byte(len(icmp)), 58, 64}, append(src.AsSlice(), dst.AsSlice()...)...)
		pseudo = append(slices.Clone(ip[8:40]), 0, 0, 0, byte(len(icmp)), 0, 0, 0, 58)
	}
	binary.BigEndian.PutUint16(icmp[2:], sum(append(pseudo, icmp...)))
	return append(ip, icmp...)
}

func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

func isReply(p []byte, from netip.Addr) bool {
	if from.Is4() {
		return len(p) >= 28 && p[0]>>4 == 4 && netip.AddrFrom4([4]byte(p[12:16])) == from && p[20] == 0
	}
	return len(p) >= 48 && p[0]>>4 == 6 && netip.AddrFrom16([16]byte(p[8:24])) == from && p[40] == 129
}
