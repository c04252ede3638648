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

// Unreachable destinations are told by ICMP, which is a soft error for TCP
// (RFC 9293 §3.9.2.2, MUST-56): the dial goes on until its deadline.
func TestRejectUnreachable(t *testing.T) {
	for name, to := range foreign {
		t.Run(name, func(t *testing.T) {
			p := newTunnel(t, tuntest.PipeOptions{})
			p.b.HandleTCP(func(r *stack.Request) { r.Reject(syscall.EHOSTUNREACH) })
			p.a.Dial(shortly(t), "tcp", to)
			if n := p.a.Counters().PathErrors.Load(); n != 1 {
				t.Fatalf("%d ICMP errors reached a connection, want 1", n)
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
