package stack_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// datagrams returns a server socket on b and a socket on a connected to it.
func (p *pair) datagrams(t testing.TB, to netip.Addr) (client, server *stack.UDPConn) {
	t.Helper()
	server, err := p.b.ListenUDP(netip.AddrPortFrom(to, 0))
	if err != nil {
		t.Fatal(err)
	}
	client, err = p.a.DialUDP(netip.AddrPort{}, udpAddr(server.LocalAddr()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*stack.UDPConn{client, server} {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	return client, server
}

func udpAddr(a net.Addr) netip.AddrPort { return a.(*net.UDPAddr).AddrPort() }

var families = map[string]netip.Addr{"IPv4": addrB4, "IPv6": addrB6}

// Each packet has its codepoint set and read on its own (RFC 3168 §5).
func TestUDPCodepoints(t *testing.T) {
	for name, to := range families {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
			client, server := p.datagrams(t, to)
			buf := make([]byte, 100)
			for i, cp := range []ecn.Codepoint{ecn.ECT0, ecn.NotECT, ecn.CE, ecn.ECT1, ecn.ECT1, ecn.NotECT} {
				want := []byte{byte(i), 'x'}
				if _, err := client.WriteToECN(want, cp, netip.AddrPort{}); err != nil {
					t.Fatal(err)
				}
				n, got, from, err := server.ReadFromECN(buf)
				if err != nil || got != cp || !bytes.Equal(buf[:n], want) || from != udpAddr(client.LocalAddr()) {
					t.Fatalf("read %q %v %v %v, want %q %v", buf[:n], got, from, err, want, cp)
				}
				if _, err := server.WriteToECN(want, cp, from); err != nil {
					t.Fatal(err)
				}
				if n, got, _, err := client.ReadFromECN(buf); err != nil || got != cp || n != 2 {
					t.Fatalf("answer %d bytes, %v, %v, want %v", n, got, err, cp)
				}
			}
			client.SetECN(ecn.ECT0)
			client.SetDSCP(46)
			client.Write([]byte("default"))
			if _, got, _, err := server.ReadFromECN(buf); err != nil || got != ecn.ECT0 {
				t.Fatalf("default codepoint %v, %v", got, err)
			}
		})
	}
}

// A datagram is kept whole, cut at the reader's slice, and may exceed the MTU.
func TestUDPBoundaries(t *testing.T) {
	for name, to := range families {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
			client, server := p.datagrams(t, to)
			big := pattern(9000)
			for _, d := range [][]byte{[]byte("one"), {}, []byte("three"), big} {
				if n, err := client.Write(d); err != nil || n != len(d) {
					t.Fatal(n, err)
				}
			}
			buf := make([]byte, 10000)
			for _, want := range [][]byte{[]byte("one"), {}, []byte("thr"), big} {
				b := buf
				if string(want) == "thr" {
					b = buf[:3]
				}
				n, from, err := server.ReadFrom(b)
				if err != nil || !bytes.Equal(b[:n], want) {
					t.Fatalf("read %d bytes, %v, want %d", n, err, len(want))
				}
				if from.String() != client.LocalAddr().String() {
					t.Fatalf("from %v", from)
				}
			}
		})
	}
}

func TestUDPErrors(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	client, server := p.datagrams(t, addrB4)
	to := server.LocalAddr()
	if _, err := client.WriteTo([]byte("x"), to); !errors.Is(err, net.ErrWriteToConnected) {
		t.Errorf("WriteTo on a connected socket: %v", err)
	}
	if _, err := server.WriteTo([]byte("x"), &net.TCPAddr{}); err == nil {
		t.Error("WriteTo took an address of another kind")
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.EDESTADDRREQ) {
		t.Errorf("Write without a peer: %v, want EDESTADDRREQ", err)
	}
	if _, err := client.Write(make([]byte, 70000)); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("Write of 70000 bytes: %v, want EMSGSIZE", err)
	}
	client.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after its deadline: %v", err)
	}
	client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := p.b.ListenUDP(udpAddr(to)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second bind: %v, want EADDRINUSE", err)
	}
	server.Close()
	// RFC 1122 §4.1.3.3: an ICMP port unreachable reaches the application.
	client.Write([]byte("x"))
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Read after port unreachable: %v, want ECONNREFUSED", err)
	}
	client.Close()
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	if err := client.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

// Reads and writes from many goroutines, deadlines and Close in between.
func TestUDPConcurrent(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	client, server := p.datagrams(t, addrB6)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				if _, _, err := server.ReadFrom(make([]byte, 10)); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				// Once the server is closed, it refuses.
				if _, err := client.Write([]byte("datagram")); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
					t.Error(err)
				}
				server.SetReadDeadline(time.Now().Add(10 * time.Second))
				client.LocalAddr()
			}
		})
	}
	time.AfterFunc(100*time.Millisecond, func() { server.Close() })
	wg.Wait()
}

func TestListenPacketBothFamilies(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	pc, err := p.b.ListenPacket(t.Context(), "udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	pc.SetDeadline(time.Now().Add(10 * time.Second))
	for _, to := range []string{"10.9.0.2:53", "[fd09::2]:53"} {
		c, err := p.a.Dial(t.Context(), "udp", to)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("question"))
		buf := make([]byte, 20)
		n, from, err := pc.ReadFrom(buf)
		if err != nil || from.String() != c.LocalAddr().String() {
			t.Fatalf("%d bytes from %v, %v", n, from, err)
		}
		if _, err := pc.WriteTo([]byte("answer"), from); err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != "answer" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
	}
}

func TestPing(t *testing.T) {
	p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	for name, to := range families {
		t.Run(name, func(t *testing.T) {
			want := pattern(56)
			for seq := range uint16(3) {
				got, rtt, err := p.a.Ping(quick(t), 0, to, 0, seq, want)
				if err != nil || !bytes.Equal(got, want) || rtt <= 0 {
					t.Fatalf("Ping = %d bytes, %v, %v", len(got), rtt, err)
				}
			}
		})
	}
	p.b.SetLinkState(p.lb, false)
	if _, _, err := p.a.Ping(shortly(t), 0, addrB4, 7, 1, nil); !isTimeout(err) {
		t.Fatalf("ping of a dead host: %v, want a timeout", err)
	}
}
