//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-net/sennit/bench/lab"
	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
)

// ourServer puts a stack of ours behind a TUN on the lab's server and serves
// HTTP from it on 10.78.0.2 and fd78::2. It returns the connections accepted.
func ourServer(t *testing.T, l *lab.Lab) (accepted func() []*mptcp.Conn) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var dev tun.Device
	must(l.Server.Do(func() (err error) {
		dev, err = tun.Open(tun.Config{Name: "tun0"})
		return err
	}))
	for _, args := range [][]string{
		{"addr", "add", "10.78.0.1/24", "dev", "tun0"},
		{"addr", "add", "fd78::1/64", "dev", "tun0", "nodad"},
		{"link", "set", "tun0", "up"},
	} {
		must(l.Server.IP(args...))
	}
	must(l.Server.Sysctl("net.ipv4.ip_forward", "1"))
	must(l.Server.Sysctl("net.ipv6.conf.all.forwarding", "1"))
	must(l.Router.IP("route", "add", "10.78.0.0/24", "via", l.Eth0.Addr4.String()))
	must(l.Router.IP("-6", "route", "add", "fd78::/64", "via", l.Eth0.Addr6.String()))

	s, err := stack.New(stack.Options{})
	must(err)
	t.Cleanup(func() { s.Close() })
	ep, err := link.New(dev, link.Options{})
	must(err)
	_, err = s.AttachLink(stack.Link{Name: "tun0", Class: stack.Wired, Endpoint: ep,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.78.0.2/24"), netip.MustParsePrefix("fd78::2/64")}})
	must(err)
	lc := mptcp.ListenConfig{Stack: s}
	var mu sync.Mutex
	var conns []*mptcp.Conn
	for _, address := range []string{"10.78.0.2:80", "[fd78::2]:80"} {
		ln, err := lc.Listen(context.Background(), "tcp", address)
		must(err)
		if _, err := lc.Listen(context.Background(), "tcp", address); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second listener on %s: %v, want EADDRINUSE", address, err)
		}
		srv := &http.Server{Handler: lab.Handler(), ReadHeaderTimeout: 10 * time.Second,
			ConnState: func(c net.Conn, st http.ConnState) {
				if mc, ok := c.(*mptcp.Conn); ok && st == http.StateNew {
					mu.Lock()
					conns = append(conns, mc)
					mu.Unlock()
				}
			}}
		go srv.Serve(ln)
		t.Cleanup(func() { srv.Close() })
	}
	return func() []*mptcp.Conn {
		mu.Lock()
		defer mu.Unlock()
		return append([]*mptcp.Conn(nil), conns...)
	}
}

// As server: curl on kernel TCP and on kernel MPTCP with two subflows reach a Go
// program with our listener.
func TestListenerServesTheKernel(t *testing.T) {
	lab.Need(t, "curl", "mptcpize", "sha256sum")
	l := lab.ForTest(t, lab.Options{})
	accepted := ourServer(t, l)
	for _, s := range []*lab.Segment{l.WiFi, l.Cell} {
		if err := errors.Join(l.SourceRoutes(s), l.Shape(s, "100mbit")); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8"},
		{"mptcp", "endpoint", "add", l.Cell.Addr4.String(), "dev", "cell0", "subflow"},
		{"mptcp", "endpoint", "add", l.Cell.Addr6.String(), "dev", "cell0", "subflow"},
	} {
		if err := l.Client.IP(args...); err != nil {
			t.Fatal(err)
		}
	}
	const size = 20_000_000
	for _, host := range []string{"10.78.0.2", "[fd78::2]"} {
		for _, c := range []struct {
			name, prefix string
			subflows     int
		}{{"TCP", "", 1}, {"MPTCP", "mptcpize run ", 2}} {
			t.Run(c.name+" to "+host, func(t *testing.T) {
				before, err := l.Client.Counters()
				if err != nil {
					t.Fatal(err)
				}
				sh := func(script string) string {
					t.Helper()
					ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
					defer cancel()
					r, err := l.Client.Run(ctx, "sh", "-c", script)
					if err != nil || r.Code != 0 {
						t.Fatalf("%s: %v, status %d: %s", script, err, r.Code, r.Stderr)
					}
					return r.Stdout
				}
				out := sh(fmt.Sprintf("%scurl -sSg http://%s/bytes/%d | sha256sum", c.prefix, host, size))
				if !strings.HasPrefix(out, lab.Sum(size)) {
					t.Errorf("SHA-256 %s, want %s", out, lab.Sum(size))
				}
				out = sh(fmt.Sprintf("head -c %d /dev/zero | %scurl -sSg -H Expect: -T - http://%s/upload", size, c.prefix, host))
				if !strings.HasPrefix(out, fmt.Sprint(size)) {
					t.Errorf("upload: server got %q", out)
				}
				after, err := l.Client.Counters()
				if err != nil {
					t.Fatal(err)
				}
				counters := after.Since(before).MPTCP()
				t.Logf("client's counters: %v", counters)
				if joins := counters["MPJoinSynAckRx"]; joins != int64(2*(c.subflows-1)) {
					t.Errorf("%d joins in two connections, want %d", joins, 2*(c.subflows-1))
				}
				conns := accepted()
				last := conns[len(conns)-1]
				info := last.Info()
				subflows := append(info.Past, info.Subflows...)
				if n := len(subflows); n != c.subflows {
					t.Errorf("our side had %d subflows, want %d", n, c.subflows)
				}
				for _, sub := range subflows {
					t.Logf("subflow from %v: received %d bytes", sub.Remote, sub.Received)
					if sub.Received < size/20 {
						t.Errorf("subflow from %v carried %d bytes of the upload only", sub.Remote, sub.Received)
					}
				}
			})
		}
	}
}
