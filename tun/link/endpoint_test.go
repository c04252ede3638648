package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// host is a gVisor stack with IP, ICMP and UDP over one endpoint.
type host struct {
	*stack.Stack
	link *Endpoint
}

func newHost(t *testing.T, d tun.Device, o Options, addrs ...string) host {
	t.Helper()
	ep, err := New(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return newHostOver(t, ep, addrs...)
}

func newHostOver(t *testing.T, ep *Endpoint, addrs ...string) host {
	t.Helper()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	if err := s.CreateNICWithOptions(1, ep, stack.NICOptions{QDisc: ep.QDisc()}); err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		addr := tcpip.AddrFromSlice(netip.MustParseAddr(a).AsSlice())
		proto := header.IPv4ProtocolNumber
		if addr.Len() == 16 {
			proto = header.IPv6ProtocolNumber
		}
		if err := s.AddProtocolAddress(1, tcpip.ProtocolAddress{Protocol: proto,
			AddressWithPrefix: addr.WithPrefix()}, stack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}, {Destination: header.IPv6EmptySubnet, NIC: 1}})
	return host{s, ep}
}

func (h host) close() { h.Close(); h.Wait() }

func at(addr string, port uint16) *tcpip.FullAddress {
	return &tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFromSlice(netip.MustParseAddr(addr).AsSlice()), Port: port}
}

// udpPair connects two hosts' sockets and returns them.
func udpPair(t *testing.T, a, b host, addrA, addrB string) (ca, cb *gonet.UDPConn) {
	t.Helper()
	proto := header.IPv4ProtocolNumber
	if at(addrA, 0).Addr.Len() == 16 {
		proto = header.IPv6ProtocolNumber
	}
	ca, err := gonet.DialUDP(a.Stack, at(addrA, 1000), at(addrB, 2000), proto)
	if err != nil {
		t.Fatal(err)
	}
	cb, err = gonet.DialUDP(b.Stack, at(addrB, 2000), at(addrA, 1000), proto)
	if err != nil {
		t.Fatal(err)
	}
	return ca, cb
}

func exchange(t *testing.T, from, to *gonet.UDPConn, n int) {
	t.Helper()
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*31 + n)
	}
	if _, err := from.Write(p); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, n+1)
	_ = to.SetReadDeadline(time.Now().Add(10 * time.Second))
	k, err := to.Read(got)
	if err != nil {
		t.Fatalf("%d bytes: %v", n, err)
	}
	if !bytes.Equal(got[:k], p) {
		t.Errorf("%d bytes arrived as %d, or differently", n, k)
	}
}

// Datagrams of all sizes, fragmented ones too, cross in both families, whatever
// the two devices offload.
func TestUDP(t *testing.T) {
	for _, offload := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			da, db := tuntest.Pipe(tuntest.PipeOptions{Offload: offload, Delay: time.Millisecond},
				tuntest.PipeOptions{Offload: offload, Rate: 1e9})
			a := newHost(t, da, Options{}, "10.0.0.1", "fd00::1")
			b := newHost(t, db, Options{}, "10.0.0.2", "fd00::2")
			defer a.close()
			defer b.close()
			time.Sleep(5 * time.Second) // duplicate address detection
			c4, s4 := udpPair(t, a, b, "10.0.0.1", "10.0.0.2")
			c6, s6 := udpPair(t, a, b, "fd00::1", "fd00::2")
			for _, n := range []int{1, 80, 100, 101, 1000, 1472, 1473, 9000, 60000} {
				exchange(t, c4, s4, n)
				exchange(t, s4, c4, n)
				exchange(t, c6, s6, n)
				exchange(t, s6, c6, n)
			}
			for _, c := range []*gonet.UDPConn{c4, s4, c6, s6} {
				_ = c.Close()
			}
			s := b.link.Stats()
			if s.BadChecksum+s.BadHeader+s.ReadErrors+s.WriteErrors+s.NotSplit != 0 {
				t.Errorf("something was dropped: %+v", s)
			}
			if s.VerifiedHere == 0 || s.Fragments == 0 {
				t.Errorf("nobody verified: %+v", s)
			}
		})
	}
}

// RFC 1122 §3.2.1.2, §4.1.3.4: what arrives damaged is dropped, wherever the
// damage is, and counted.
func TestDamageIsDropped(t *testing.T) {
	for _, addrs := range [][2]string{{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}} {
		synctest.Test(t, func(t *testing.T) {
			da, db := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
			var sent []byte
			a := newHost(t, da, Options{Tap: func(d Direction, p [][]byte) {
				if d == Sent {
					sent = bytes.Join(p, nil)
				}
			}}, addrs[0])
			b := newHost(t, db, Options{}, addrs[1])
			defer a.close()
			defer b.close()
			time.Sleep(5 * time.Second)
			ca, cb := udpPair(t, a, b, addrs[0], addrs[1])
			defer ca.Close()
			defer cb.Close()
			exchange(t, ca, cb, 200)
			good := bytes.Clone(sent)
			const first = 8 // IPv4: TTL; IPv6: source address, nothing before it is covered
			bad := b.link.Stats()
			for i := first; i < len(good); i++ {
				p := bytes.Clone(good)
				p[i] ^= 0x10
				if err := a.link.Write([][]byte{p}); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			now := b.link.Stats()
			if n, want := now.BadChecksum+now.BadHeader-bad.BadChecksum-bad.BadHeader, uint64(len(good)-first); n != want {
				t.Errorf("%d of %d damaged packets were dropped", n, want)
			}
			exchange(t, ca, cb, 200)
		})
	}
}

// What the device vouches for is not computed again: a wrong checksum passes
// with NeedsCsum and with DataValid.
func TestVouchedFor(t *testing.T) {
	p := udpPacket(64)
	p[26] ^= 0xff // the UDP checksum
	for _, m := range []tun.Meta{{}, {NeedsCsum: true, CsumStart: 20, CsumOffset: 6}, {DataValid: true}} {
		want := accept
		if m == (tun.Meta{}) {
			want = badSum
		}
		if got := verify([][]byte{p}, len(p), m); got != want {
			t.Errorf("%+v: verdict %d, want %d", m, got, want)
		}
	}
}

// RFC 768, RFC 8200 §8.1: UDP may go without a checksum over IPv4 only.
func TestUDPWithoutChecksum(t *testing.T) {
	p4 := udpPacket(64)
	p4[26], p4[27] = 0, 0
	p6 := make([]byte, 40+8+64)
	p6[0], p6[5], p6[6], p6[7] = 0x60, 8+64, protoUDP, 64
	p6[45] = 8 + 64
	for _, m := range []tun.Meta{{}, {DataValid: true}} {
		if got := verify([][]byte{p4}, len(p4), m); got != accept {
			t.Errorf("IPv4, %+v: verdict %d, want accept", m, got)
		}
		if got := verify([][]byte{p6}, len(p6), m); got != badSum {
			t.Errorf("IPv6, %+v: verdict %d, want badSum", m, got)
		}
	}
}

// udpPacket is an IPv4 UDP packet with n bytes of payload.
func udpPacket(n int) []byte {
	p := make([]byte, 28+n)
	ip := header.IPv4(p)
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(p)), TTL: 64, Protocol: protoUDP,
		SrcAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), DstAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 2})})
	ip.SetChecksum(^ip.CalculateChecksum())
	u := header.UDP(p[20:])
	u.Encode(&header.UDPFields{SrcPort: 1, DstPort: 2, Length: uint16(8 + n)})
	u.SetChecksum(^u.CalculateChecksum(header.PseudoHeaderChecksum(header.UDPProtocolNumber,
		ip.SourceAddress(), ip.DestinationAddress(), uint16(8+n))))
	return p
}

func TestIntercept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		da, db := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
		var seen int
		var b host
		b = newHost(t, db, Options{Intercept: func(p [][]byte) bool {
			if p[0][0]>>4 != 4 || binary.BigEndian.Uint16(p[0][22:]) != 7 {
				return false
			}
			seen++
			return b.link.Write(p) == nil // an echo of a kind
		}}, "10.0.0.2")
		defer b.close()
		p := udpPacket(300)
		binary.BigEndian.PutUint16(p[22:], 7)
		binary.BigEndian.PutUint16(p[26:], 0) // without a checksum
		if err := da.Write([][]byte{p}, tun.Meta{}); err != nil {
			t.Fatal(err)
		}
		var m tun.Meta
		got := make([]byte, 1500)
		n, err := da.Read([][]byte{got}, &m)
		if err != nil || !bytes.Equal(got[:n], p) {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if s := b.link.Stats(); seen != 1 || s.Intercepted != 1 {
			t.Errorf("seen %d, counters %+v", seen, s)
		}
		_ = da.Close()
	})
}

// RemoveNIC holds the lock that the reader needs: detaching must not wait for
// it, and closing the endpoint must still wait until it has ended.
func TestRemoveNICUnderTraffic(t *testing.T) {
	for range 20 {
		da, db := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
		b := newHost(t, db, Options{}, "10.0.0.2")
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			p := udpPacket(1000)
			for {
				select {
				case <-stop:
					return
				default:
					_ = da.Write([][]byte{p}, tun.Meta{})
				}
			}
		}()
		for b.link.Stats().ReceivedPackets == 0 {
			time.Sleep(time.Microsecond)
		}
		if err := b.RemoveNIC(1); err != nil {
			t.Fatal(err)
		}
		select {
		case <-b.link.reading:
		case <-time.After(10 * time.Second):
			t.Fatal("the reader still runs")
		}
		close(stop)
		<-done
		b.close()
		_ = da.Close()
	}
}

type failing struct{ tun.Device }

var errGone = errors.New("device gone")

func (failing) Read([][]byte, *tun.Meta) (int, error) { return 0, errGone }

func TestFailedDeviceIsReported(t *testing.T) {
	da, _ := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
	failed := make(chan error, 1)
	h := newHost(t, failing{da}, Options{Failed: func(err error) { failed <- err }})
	defer h.close()
	if err := <-failed; !errors.Is(err, errGone) {
		t.Errorf("reported %v", err)
	}
}

// What WriteGather sends arrives as one packet, its checksum completed.
func TestWriteGather(t *testing.T) {
	da, db := tuntest.Pipe(tuntest.PipeOptions{Offload: true}, tuntest.PipeOptions{})
	e, err := New(da, Options{})
	if err != nil {
		t.Fatal(err)
	}
	hdr := tcpHeader(1000)
	payload := bytes.Repeat([]byte{1, 2, 3, 4, 5}, 200)
	if err := e.WriteGather(hdr, [][]byte{payload[:301], nil, payload[301:]}, stack.GSO{NeedsCsum: true}); err != nil {
		t.Fatal(err)
	}
	var m tun.Meta
	got := make([]byte, 1500)
	n, err := db.Read([][]byte{got}, &m)
	if err != nil || !bytes.Equal(got[40:n], payload) || m != (tun.Meta{}) {
		t.Errorf("read %d bytes, %+v, %v", n, m, err)
	}
	if v := verify([][]byte{got[:n]}, n, m); v != computed {
		t.Errorf("verdict %d, want computed", v)
	}
	if err := e.WriteGather(hdr[:30], nil, stack.GSO{NeedsCsum: true}); err == nil {
		t.Error("half a header was sent")
	}
	if err := e.WriteGather(nil, nil, stack.GSO{NeedsCsum: true}); err == nil {
		t.Error("nothing was sent")
	}
}

// tcpHeader is an IPv4 and TCP header for n bytes of payload, with the sum of
// the pseudo-header in the checksum field.
func tcpHeader(n int) []byte {
	p := make([]byte, 40)
	ip := header.IPv4(p)
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(40 + n), TTL: 64, Protocol: protoTCP,
		SrcAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), DstAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 2})})
	ip.SetChecksum(^ip.CalculateChecksum())
	h := header.TCP(p[20:])
	h.Encode(&header.TCPFields{SrcPort: 1, DstPort: 2, SeqNum: 7, AckNum: 9, DataOffset: 20, Flags: header.TCPFlagAck})
	h.SetChecksum(header.PseudoHeaderChecksum(header.TCPProtocolNumber, ip.SourceAddress(),
		ip.DestinationAddress(), uint16(20+n)))
	return p
}

// The checksum of a fragmented datagram is verified too, once it is whole (RFC
// 1122 §4.1.3.4).
func TestDamageInFragments(t *testing.T) {
	for _, addrs := range [][2]string{{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}} {
		synctest.Test(t, func(t *testing.T) {
			da, db := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
			damage := false
			a := newHost(t, da, Options{Tap: func(d Direction, p [][]byte) {
				last := p[len(p)-1]
				if d == Sent && damage {
					last[len(last)-1] ^= 1 // before it is written
				}
			}}, addrs[0])
			b := newHost(t, db, Options{}, addrs[1])
			defer a.close()
			defer b.close()
			time.Sleep(5 * time.Second)
			ca, cb := udpPair(t, a, b, addrs[0], addrs[1])
			defer ca.Close()
			defer cb.Close()
			exchange(t, ca, cb, 4000)
			damage = true
			if _, err := ca.Write(make([]byte, 4000)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			damage = false
			if n := b.Stats().UDP.ChecksumErrors.Value(); n != 1 {
				t.Errorf("%d checksum errors, want 1", n)
			}
			exchange(t, ca, cb, 4000)
		})
	}
}

// batches counts packets, and how many batches they came in.
type batches struct {
	stack.NetworkDispatcher
	got  chan int // packets of each batch
	open int
}

func (b *batches) DeliverNetworkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) { b.open++ }

func (b *batches) BatchEnd() {
	b.got <- b.open
	b.open = 0
}

// plainDevice does not tell when it runs dry.
type plainDevice struct{ tun.Device }

// A batch ends when the device runs dry, or when it is large enough; without
// word from the device, with each packet.
func TestBatches(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrap  func(tun.Device) tun.Device
		sizes []int // payload bytes of the packets that are there
		want  []int
	}{
		{"dry", func(d tun.Device) tun.Device { return d }, []int{10, 20, 30}, []int{3}},
		{"many", func(d tun.Device) tun.Device { return d }, make([]int, batchPackets+5), []int{batchPackets, 5}},
		{"large", func(d tun.Device) tun.Device { return d }, []int{60000, 60000, 60000, 60000, 60000}, []int{4, 1}},
		{"untold", func(d tun.Device) tun.Device { return plainDevice{d} }, []int{10, 20, 30}, []int{1, 1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			da, db := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
			for _, n := range c.sizes {
				if err := da.Write([][]byte{udpPacket(n)}, tun.Meta{}); err != nil {
					t.Fatal(err)
				}
			}
			e, err := New(c.wrap(db), Options{})
			if err != nil {
				t.Fatal(err)
			}
			b := &batches{got: make(chan int, 100)}
			e.Attach(b)
			for i, want := range c.want {
				if got := <-b.got; got != want {
					t.Errorf("batch %d: %d packets, want %d", i, got, want)
				}
			}
			e.Close()
			if len(b.got) != 0 {
				t.Errorf("one more batch, of %d", <-b.got)
			}
		})
	}
}
