// Package stack puts the protocol core under locks, timers and gVisor, and
// gives it the shape of package net.
//
// It owns: links (attach, detach, addresses, up and down), the demultiplexing
// of TCP segments to connections, ports, ICMP errors and path MTU, the reset
// of what nobody expects, one lock and one timer per connection ([Sock]),
// net.Conn and net.Listener over TCP, UDP and ping over gVisor's endpoints,
// and the any-address mode in which a stack answers for every destination.
//
// It does not own: TCP itself (stack/tcp), Multipath TCP (package mptcp, which
// plugs its machine into a Sock), devices (package tun), host configuration.
//
// # A minimal program
//
//	s, err := stack.New(stack.Options{})
//	id, err := s.AttachLink(stack.Link{Name: "wifi0", Endpoint: ep,
//		Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
//	c, err := s.Dial(ctx, "tcp", "192.0.2.1:80")
//
// # How a segment travels
//
// In: the link's reader calls the stack with a packet. A plain TCP packet for
// an address of that link is looked up in the stack's own table and handled to
// completion on that goroutine; everything else (fragments, extension headers,
// UDP, ICMP) goes through gVisor, which hands reassembled TCP back to the same
// table. Payload is not copied: it refers to the packet until it is read.
//
// Out: the machine emits under the connection's lock into a batch; the batch
// is written to the link after unlocking, by one goroutine at a time, so order
// is kept and no lock is held while a device (or, on a looped link, the whole
// receive path) runs. Where the link can gather (see [Gatherer]) payload is not
// copied either.
//
// gVisor's TCP is not used. Read RFC 9293 §3.10.7 (what becomes of a segment
// without connection), RFC 6528, RFC 6056, RFC 5927, RFC 1122 and RFC 8504
// first.
package stack
