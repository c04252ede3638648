package mptcp_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// emulatedNetwork returns two devices behind which an HTTP server answers at
// addr over either.
func emulatedNetwork(addr, answer string) (wifi, cellular tun.Device) {
	s, err := stack.New(stack.Options{})
	if err != nil {
		panic(err)
	}
	var near [2]tun.Device
	for i := range near {
		a, b := tuntest.Pipe(tuntest.PipeOptions{}, tuntest.PipeOptions{})
		near[i] = a
		e, err := link.New(b, link.Options{})
		if err != nil {
			panic(err)
		}
		p := netip.PrefixFrom(netip.MustParseAddrPort(addr).Addr(), 24)
		if _, err := s.AttachLink(stack.Link{Name: linkNames[i], Endpoint: e, Addrs: []netip.Prefix{p}}); err != nil {
			panic(err)
		}
	}
	lc := mptcp.ListenConfig{Stack: s}
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		panic(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }))
	return near[0], near[1]
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// 200 connections one after the other leave neither sockets nor memory, nor
// goroutines beyond those of the listener.
func TestConnectionsLeaveNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, d *dual) {
		l := echo(t, mptcp.ListenConfig{Stack: d.server}, "10.2.0.1:80")
		defer l.Close()
		dialer := mptcp.Dialer{Stack: d.client}
		fetch := func(n int) {
			for range n {
				c, err := dialer.Dial("tcp", "10.2.0.1:80")
				if err != nil {
					t.Fatal(err)
				}
				c.Write([]byte("question"))
				c.(*mptcp.Conn).CloseWrite()
				if b, err := io.ReadAll(c); err != nil || string(b) != "question" {
					t.Fatalf("read %q, %v", b, err)
				}
				c.Close()
			}
			time.Sleep(2 * time.Minute) // TIME-WAIT
			synctest.Wait()
		}
		fetch(50)
		goroutines, memory := runtime.NumGoroutine(), heap()
		fetch(200)
		// A few of the runtime's own come and go.
		if n := runtime.NumGoroutine(); n > goroutines+5 {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines before, %d after:\n%s", goroutines, n, buf[:runtime.Stack(buf, true)])
		}
		if n := heap(); n > memory+1<<20 {
			t.Errorf("heap grew from %d to %d bytes", memory, n)
		}
		if n := d.client.Sockets() + d.server.Sockets(); n > 0 {
			t.Errorf("%d sockets still exist", n)
		}
	})
}
