package stack_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/wire"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// newTunnel is a pair whose b answers for every address and has none itself.
func newTunnel(t testing.TB, o tuntest.PipeOptions) *pair {
	t.Helper()
	da, db := tuntest.Pipe(o, o)
	p := &pair{a: newStack(t, stack.Options{}), b: newStack(t, stack.Options{AnyAddress: true})}
	for i, d := range []*tuntest.Device{da, db} {
		e, err := link.New(d, link.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			p.la = attach(t, p.a, stack.Link{Name: "tun0", Endpoint: e,
				Addrs: []netip.Prefix{netip.PrefixFrom(addrA4, 24), netip.PrefixFrom(addrA6, 64)}})
		} else {
			p.lb = attach(t, p.b, stack.Link{Name: "tun0", Endpoint: e})
		}
	}
	return p
}

// foreign are addresses nobody has.
var foreign = map[string]string{"IPv4": "192.0.2.7:80", "IPv6": "[2001:db8::7]:80"}

func TestHandleTCP(t *testing.T) {
	for name, to := range foreign {
		t.Run(name, func(t *testing.T) {
			p := newTunnel(t, tuntest.PipeOptions{})
			p.b.HandleTCP(func(r *stack.Request) {
				if r.Local.String() != to || r.Remote.Addr().Unmap() == r.Local.Addr() {
					t.Errorf("request from %v to %v", r.Remote, r.Local)
				}
				c, err := r.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				if c.LocalAddr().String() != to {
					t.Errorf("local address %v", c.LocalAddr())
				}
				io.Copy(c, c)
				c.Close()
				if _, err := r.Accept(); err == nil {
					t.Error("a request was accepted twice")
				}
			})
			c, err := p.a.Dial(quick(t), "tcp", to)
			if err != nil {
				t.Fatal(err)
			}
			want := pattern(1 << 20)
			go func() {
				c.Write(want)
				c.(*stack.Conn).CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("echo of %d bytes, %v", len(got), err)
			}
		})
	}
}

// What the handler says becomes what the peer's dial returns.
func TestReject(t *testing.T) {
	for name, to := range foreign {
		for _, c := range []struct{ say, want error }{
			{syscall.ECONNREFUSED, syscall.ECONNREFUSED},
			{errors.New("anything"), syscall.ECONNREFUSED},
			{nil, syscall.ECONNREFUSED}, // a handler that does not answer
		} {
			t.Run(name, func(t *testing.T) {
				p := newTunnel(t, tuntest.PipeOptions{})
				p.b.HandleTCP(func(r *stack.Request) {
					if c.say != nil {
						r.Reject(c.say)
					}
				})
				if _, err := p.a.Dial(quick(t), "tcp", to); !errors.Is(err, c.want) {
					t.Fatalf("Dial = %v, want %v", err, c.want)
				}
			})
		}
	}
}

// Unreachable destinations are told by ICMP (RFC 792, RFC 4443 §3.1), which ends a
// dial.
func TestRejectUnreachable(t *testing.T) {
	for name, to := range foreign {
		t.Run(name, func(t *testing.T) {
			for say, want := range map[error]error{
				syscall.EHOSTUNREACH: syscall.EHOSTUNREACH,
				syscall.ETIMEDOUT:    syscall.EHOSTUNREACH,
				syscall.ENETUNREACH:  syscall.ENETUNREACH,
			} {
				p := newTunnel(t, tuntest.PipeOptions{})
				p.b.HandleTCP(func(r *stack.Request) { r.Reject(say) })
				if _, err := p.a.Dial(quick(t), "tcp", to); !errors.Is(err, want) {
					t.Fatalf("rejected with %v: %v, want %v", say, err, want)
				}
			}
		})
	}
}

func TestNoHandlerRefuses(t *testing.T) {
	p := newTunnel(t, tuntest.PipeOptions{})
	if _, err := p.a.Dial(quick(t), "tcp", "192.0.2.7:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("Dial = %v, want ECONNREFUSED", err)
	}
}

func TestHandleUDP(t *testing.T) {
	for name, to := range foreign {
		t.Run(name, func(t *testing.T) {
			p := newTunnel(t, tuntest.PipeOptions{})
			flows := make(chan *stack.UDPFlow, 10)
			p.b.HandleUDP(func(f *stack.UDPFlow) {
				flows <- f
				buf := make([]byte, 65536)
				for {
					n, cp, err := f.ReadECN(buf)
					if err != nil {
						return
					}
					f.WriteECN(buf[:n], cp)
				}
			})
			c, err := p.a.DialUDP(netip.AddrPort{}, netip.MustParseAddrPort(to))
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			buf := make([]byte, 65536)
			// The last two are longer than the MTU, so they are fragmented.
			for i, n := range []int{0, 1, 1000, 3000, 60000} {
				want := pattern(n)
				cp := ecn.Codepoint(i % 4)
				c.WriteToECN(want, cp, netip.AddrPort{})
				n, got, _, err := c.ReadFromECN(buf)
				if err != nil || !bytes.Equal(buf[:n], want) || got != cp {
					t.Fatalf("echo of %d bytes is %d bytes, %v, %v", len(want), n, got, err)
				}
			}
			f := <-flows
			if f.LocalAddr().String() != to || len(flows) != 0 {
				t.Errorf("flow to %v, %d more", f.LocalAddr(), len(flows))
			}
			// After Close the next datagram is a new flow.
			f.Close()
			c.Write([]byte("again"))
			if _, err := c.Read(buf); err != nil {
				t.Fatal(err)
			}
			if len(flows) != 1 {
				t.Errorf("%d flows after Close, want a new one", len(flows))
			}
		})
	}
}

// RFC 1122 §3.2.2.6 and RFC 4443 §4.2: the reply carries the data of the request,
// and a checksum that the other side verifies (RFC 4443 §2.3).
func TestHandleEcho(t *testing.T) {
	for name, to := range map[string]string{"IPv4": "192.0.2.7", "IPv6": "2001:db8::7"} {
		t.Run(name, func(t *testing.T) {
			p := newTunnel(t, tuntest.PipeOptions{})
			p.b.HandleEcho(func(r *stack.EchoRequest) {
				if r.Local.String() != to || r.Seq != 5 {
					t.Errorf("echo request %+v", r)
				}
				r.Data = append(r.Data, '!')
				r.Reply()
			})
			got, _, err := p.a.Ping(quick(t), 0, netip.MustParseAddr(to), 99, 5, []byte("marco"))
			if err != nil || string(got) != "marco!" {
				t.Fatalf("Ping = %q, %v", got, err)
			}
		})
	}
}

// Many flows from many spoofed addresses at once: no address is held on the
// NIC, so the cost of one more does not grow.
func TestManyAddresses(t *testing.T) {
	p := newTunnel(t, tuntest.PipeOptions{})
	p.b.HandleTCP(func(r *stack.Request) {
		if c, err := r.Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	})
	for i := range 200 {
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 80)
		c, err := p.a.DialTCP(quick(t), netip.AddrPort{}, to)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte{byte(i)})
		c.CloseWrite()
		if b, err := io.ReadAll(c); err != nil || len(b) != 1 || b[0] != byte(i) {
			t.Fatalf("connection %d: %v, %v", i, b, err)
		}
		c.Close()
	}
}

// RFC 8200 §8.1: a datagram without checksum is legal over IPv4 only.
func TestUDPWithoutChecksum(t *testing.T) {
	w := newWire(t, stack.Options{AnyAddress: true})
	got := make(chan string, 10)
	w.s.HandleUDP(func(f *stack.UDPFlow) {
		buf := make([]byte, 100)
		for {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			got <- f.LocalAddr().String() + " " + string(buf[:n])
		}
	})
	datagram := append([]byte{0x12, 0x34, 0, 53, 0, 11, 0, 0}, "abc"...)
	w.inject(packet(addrB6, netip.MustParseAddr("2001:db8::1"), 17, 0, datagram))
	w.inject(packet(addrB4, netip.MustParseAddr("192.0.2.1"), 17, 0, datagram))
	if d := <-got; d != "192.0.2.1:53 abc" {
		t.Errorf("got %q", d)
	}
	if len(got) != 0 {
		t.Errorf("got %q, too", <-got)
	}
}

// Data on a SYN is left to be sent again (RFC 9293 §3.10.7.2).
func TestDataOnSYN(t *testing.T) {
	w := newWire(t, stack.Options{AnyAddress: true})
	read := make(chan string, 1)
	w.s.HandleTCP(func(r *stack.Request) {
		c, err := r.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		read <- string(buf[:n])
		c.Abort()
	})
	from, to := peer4, netip.MustParseAddrPort("192.0.2.7:80")
	w.injectTCP(from, to, wire.Segment{Flags: wire.SYN, Seq: 99, Window: 1000}, "early")
	answer, _ := w.nextTCP()
	if answer.Flags != wire.SYN|wire.ACK || answer.Ack != 100 {
		t.Fatalf("answer %v", &answer)
	}
	w.injectTCP(from, to, wire.Segment{Flags: wire.ACK, Seq: 100, Ack: answer.Seq + 1, Window: 1000}, "early")
	if d := <-read; d != "early" {
		t.Errorf("read %q", d)
	}
}
