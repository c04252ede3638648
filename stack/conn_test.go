package stack_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/tuntest"
	"golang.org/x/net/nettest"
)

func TestConn(t *testing.T) {
	for name, to := range map[string]netip.Addr{"IPv4": addrB4, "IPv6": addrB6} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
				c1, c2 = p.connect(t, to)
				return c1, c2, func() {
					c1.Close()
					c2.Close()
					p.a.Close()
					p.b.Close()
				}, nil
			})
		})
	}
}

// The same over a link that loses one packet in a hundred and lets others be
// overtaken, differently each time.
func TestConnOverBadLink(t *testing.T) {
	for name, to := range map[string]netip.Addr{"IPv4": addrB4, "IPv6": addrB6} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("the link's seeds start at %d", seed)
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				seed++
				p := newPair(t, tuntest.PipeOptions{Loss: 0.01, Reorder: 0.05, Behind: 2 * time.Millisecond, Delay: 200 * time.Microsecond, Seed: seed},
					stack.Options{}, stack.Options{})
				c1, c2 = p.connect(t, to)
				return c1, c2, func() {
					c1.Close()
					c2.Close()
					p.a.Close()
					p.b.Close()
				}, nil
			})
		})
	}
}

// pattern fills a slice with bytes that differ at every offset.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestBulk(t *testing.T) {
	for name, to := range map[string]netip.Addr{"IPv4": addrB4, "IPv6": addrB6} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
			client, server := p.connect(t, to)
			want := pattern(32 << 20)
			go func() {
				client.Write(want)
				client.Close()
			}()
			got, err := io.ReadAll(server)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes that differ, want %d", len(got), len(want))
			}
		})
	}
}
