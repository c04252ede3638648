package mptcp_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/stack/tcp"
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

// settled waits until the number of goroutines is at most n, and returns it.
func settled(n int) int {
	got := 0
	for range 200 {
		runtime.GC()
		if got = runtime.NumGoroutine(); got <= n {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return got
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// 200 connections one after the other leave neither goroutines nor memory.
func TestConnectionsLeaveNothing(t *testing.T) {
	tuning := tcp.Tuning{TimeWait: -1}
	d := newDual(t, [2]tuntest.PipeOptions{})
	lc := mptcp.ListenConfig{Stack: d.server, Tuning: &tuning}
	l, err := lc.Listen(t.Context(), "tcp", "10.2.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	dialer := mptcp.Dialer{Stack: d.client, Tuning: &tuning}
	fetch := func(n int) {
		for range n {
			c, err := dialer.Dial("tcp", "10.2.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			c.Write([]byte("question"))
			c.(*mptcp.Conn).CloseWrite()
			if b, err := io.ReadAll(c); err != nil || string(b) != "question" {
				t.Fatalf("read %q, %v", b, err)
			}
			c.Close()
		}
	}
	fetch(50)
	time.Sleep(100 * time.Millisecond)
	before := settled(0)
	memory := heap()
	fetch(200)
	if after := settled(before); after > before {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after:\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
	if after := heap(); after > memory+4<<20 {
		t.Errorf("heap grew from %d to %d bytes", memory, after)
	}
	if n := d.client.Sockets() + d.server.Sockets(); n > 0 {
		t.Errorf("%d sockets still exist", n)
	}
}
