package mptcp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"

	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun"
	"github.com/sennit-net/sennit/tun/link"
)

// A stack with two links and an http.Client over Multipath TCP. In a program
// the devices come from tun.Open; here a server waits at the far end of an
// emulated network.
func ExampleDialer() {
	wifi, cellular := emulatedNetwork("10.2.0.1:80", "Hello over two links\n")

	s, err := stack.New(stack.Options{})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	for name, dev := range map[string]tun.Device{"10.1.0.1/24": wifi, "10.1.1.1/24": cellular} {
		ep, err := link.New(dev, link.Options{})
		if err != nil {
			panic(err)
		}
		addr := netip.MustParsePrefix(name)
		if _, err := s.AttachLink(stack.Link{Name: name, Endpoint: ep, Addrs: []netip.Prefix{addr}}); err != nil {
			panic(err)
		}
	}
	d := mptcp.Dialer{Stack: s, Service: "aggregate"}
	client := http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
	defer client.CloseIdleConnections()

	r, err := client.Get("http://10.2.0.1/")
	if err != nil {
		panic(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	fmt.Print(string(body))
	// Output: Hello over two links
}
