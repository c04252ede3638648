package mptcp_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/sennit-net/sennit/tun/tuntest"
	"golang.org/x/net/nettest"
)

func TestConn(t *testing.T) {
	for name, to := range map[string]netip.Addr{"IPv4": serverAddr4, "IPv6": serverAddr6} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				d := newDual(t, [2]tuntest.PipeOptions{})
				c, s := d.connect(t, to)
				if ok, _ := c.MultipathTCP(); !ok {
					t.Error("the connection is not Multipath TCP")
				}
				return c, s, func() {
					c.Close()
					s.Close()
					d.client.Close()
					d.server.Close()
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

func TestBothLinksCarryData(t *testing.T) {
	shape := tuntest.PipeOptions{Rate: 100e6, Delay: 5e6, Queue: 256 << 10}
	d := newDual(t, [2]tuntest.PipeOptions{shape, shape})
	client, server := d.connect(t, serverAddr4)
	want := pattern(16 << 20)
	go func() {
		server.Write(want)
		server.Close()
	}()
	got, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes that differ, want %d", len(got), len(want))
	}
	i := client.Info()
	if len(i.Subflows) != 2 {
		t.Fatalf("%d subflows, want 2: %+v", len(i.Subflows), i)
	}
	for k := range d.far {
		if n := d.far[k].Stats().Bytes; n < 4<<20 {
			t.Errorf("%s carried %d bytes, want a fair share of %d", linkNames[k], n, len(want))
		}
	}
}
