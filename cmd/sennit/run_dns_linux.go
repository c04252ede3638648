package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/sennit-net/sennit/mptcp"
	"github.com/sennit-net/sennit/stack"
)

// hostResolvConf is read in the mount namespace that sennit was started in.
const hostResolvConf = "/etc/resolv.conf"

const dnsPort = 53

// forwarder is the resolver inside: it passes questions on to the host's name
// servers, over the links, or over the host's own sockets if the server is the
// host itself.
type forwarder struct {
	ctx    context.Context
	ours   []netip.Addr // the addresses it has inside
	outer  *uplinks
	dialer mptcp.Dialer

	mu      sync.Mutex
	read    time.Time // modification time of what servers were read from
	servers []netip.AddrPort
}

// serves reports whether a destination inside is the resolver.
func (f *forwarder) serves(to netip.AddrPort) bool {
	return to.Port() == dnsPort && f.isOurs(to.Addr())
}

func (f *forwarder) isOurs(a netip.Addr) bool { return slices.Contains(f.ours, a) }

// resolvConf is what COMMAND finds as /etc/resolv.conf: our resolver, and what
// the host's says about how to search.
func (f *forwarder) resolvConf() string {
	var b strings.Builder
	for _, a := range f.ours {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	file, err := os.Open(hostResolvConf)
	if err != nil {
		return b.String()
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		switch word, _, _ := strings.Cut(strings.TrimSpace(s.Text()), " "); word {
		case "search", "domain", "options", "sortlist":
			b.WriteString(s.Text() + "\n")
		}
	}
	return b.String()
}

// upstream returns the host's name servers as resolv.conf lists them now.
func (f *forwarder) upstream() []netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(hostResolvConf)
	if err == nil && f.servers != nil && info.ModTime().Equal(f.read) {
		return f.servers
	}
	servers := readServers()
	if len(servers) == 0 {
		// What resolv.conf(5) says of a file that names none.
		servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)}
	}
	f.servers = servers
	if err == nil {
		f.read = info.ModTime()
	}
	return servers
}

func readServers() []netip.AddrPort {
	file, err := os.Open(hostResolvConf)
	if err != nil {
		return nil
	}
	defer file.Close()
	var servers []netip.AddrPort
	for s := bufio.NewScanner(file); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(a.Unmap(), dnsPort))
		}
	}
	return servers
}

// onLoopback returns where on lo a program may look for a name server: where
// the host's resolv.conf says, or where one is by default.
func onLoopback() []netip.Addr {
	var names []netip.Addr
	servers := readServers()
	for _, s := range servers {
		if s.Addr().IsLoopback() {
			names = append(names, s.Addr())
		}
	}
	if len(servers) == 0 {
		names = append(names, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return names
}

// byHost reports whether a server can only be asked by the host itself.
func byHost(a netip.Addr) bool { return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() }

const (
	// maxQuestion is more than any question with EDNS(0) has.
	maxQuestion = 4096
	// dnsLinger is how long a flow without an unanswered question is kept: a
	// program asks for both families, and perhaps once more.
	dnsLinger = 2 * time.Second
)

// serveFlow answers datagrams.
func (f *forwarder) serveFlow(flow *stack.UDPFlow) {
	defer flow.Close()
	buf := make([]byte, maxQuestion)
	var open atomic.Int32 // questions
	for {
		if err := flow.SetReadDeadline(time.Now().Add(dnsLinger)); err != nil {
			return
		}
		n, err := flow.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && open.Load() > 0 {
			continue
		}
		if err != nil {
			return // whoever asks again is given a new flow
		}
		q := new(dns.Msg)
		if err := q.Unpack(buf[:n]); err != nil || q.Response {
			continue
		}
		open.Add(1)
		go func() {
			defer open.Add(-1)
			// A program that has left wants no answer.
			f.answerDatagram(func(b []byte) { _, _ = flow.Write(b) }, q)
		}()
	}
}

func (f *forwarder) answerDatagram(send func([]byte), q *dns.Msg) {
	a := f.answer(q)
	size := dns.MinMsgSize
	if opt := q.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
	}
	a.Truncate(size) // sets TC (RFC 2181 §9): the program asks again over TCP
	if b, err := a.Pack(); err == nil {
		send(b)
	}
}

// serveStream answers a TCP connection (RFC 7766).
func (f *forwarder) serveStream(c net.Conn) {
	defer c.Close()
	conn := &dns.Conn{Conn: c}
	for {
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return
		}
		q, err := conn.ReadMsg()
		if err != nil || q.Response {
			return
		}
		if err := conn.WriteMsg(f.answer(q)); err != nil {
			return
		}
	}
}

// serveLoopback answers at the sockets on lo until they are closed.
func (f *forwarder) serveLoopback(packets []net.PacketConn, streams []net.Listener) {
	for _, p := range packets {
		go func() {
			buf := make([]byte, maxQuestion)
			for {
				n, from, err := p.ReadFrom(buf)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				q := new(dns.Msg)
				if err != nil || q.Unpack(buf[:n]) != nil || q.Response {
					continue
				}
				go f.answerDatagram(func(b []byte) { _, _ = p.WriteTo(b, from) }, q)
			}
		}()
	}
	for _, l := range streams {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go f.serveStream(c)
			}
		}()
	}
}

// answer asks the servers in turn, a second time if none answers.
func (f *forwarder) answer(q *dns.Msg) *dns.Msg {
	var last *dns.Msg
	for _, patience := range []time.Duration{2 * time.Second, 3 * time.Second} {
		for _, server := range f.upstream() {
			a, err := f.ask(q, server, patience)
			if err != nil {
				continue
			}
			a.Id = q.Id
			if a.Rcode != dns.RcodeServerFailure && a.Rcode != dns.RcodeRefused {
				return a
			}
			last = a
		}
		if last != nil {
			return last
		}
	}
	return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
}

// ask puts the question to one server, over TCP if the answer is truncated.
func (f *forwarder) ask(q *dns.Msg, server netip.AddrPort, patience time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	a, err := f.askUDP(ctx, q, server)
	if err == nil && a.Truncated {
		if full, err := f.exchange(ctx, "tcp", q, func() (net.Conn, error) { return f.dialTCP(ctx, server) }); err == nil {
			return full, nil
		}
	}
	return a, err
}

// errNoFamily: no link has the server's address family.
var errNoFamily = errors.New("no link for this address family")

// nextLink is after what time without an answer a question also goes over the
// next link: the one before may be dead without anybody having noticed.
const nextLink = 400 * time.Millisecond

// askUDP asks over the best link, then over the others too; the first answer
// counts.
func (f *forwarder) askUDP(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	if byHost(server.Addr()) {
		return f.exchange(ctx, "udp", q, func() (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp", server.String())
		})
	}
	links := f.outer.fit(server.Addr())
	if len(links) == 0 {
		return nil, errNoFamily
	}
	type reply struct {
		msg *dns.Msg
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	replies := make(chan reply, len(links))
	asked, waiting := 0, 0
	next := func() {
		if asked == len(links) {
			return
		}
		via := links[asked].ID
		asked++
		waiting++
		go func() {
			a, err := f.exchange(ctx, "udp", q, func() (net.Conn, error) {
				return f.outer.stack.DialUDPVia(via, netip.AddrPort{}, server)
			})
			replies <- reply{a, err}
		}()
	}
	again := time.NewTicker(nextLink)
	defer again.Stop()
	for next(); ; {
		select {
		case <-again.C:
			next()
		case r := <-replies:
			if r.err == nil {
				return r.msg, nil
			}
			if waiting--; waiting == 0 && asked == len(links) {
				return nil, r.err
			}
			next()
		}
	}
}

func (f *forwarder) dialTCP(ctx context.Context, server netip.AddrPort) (net.Conn, error) {
	if byHost(server.Addr()) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server.String())
	}
	return f.dialer.DialContext(ctx, "tcp", server.String())
}

// exchange asks over one connection.
func (f *forwarder) exchange(ctx context.Context, network string, q *dns.Msg, dial func() (net.Conn, error)) (*dns.Msg, error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	ask := q.Copy()
	ask.Id = dns.Id()
	client := &dns.Client{Net: network, UDPSize: dns.MaxMsgSize}
	if deadline, ok := ctx.Deadline(); ok {
		client.Timeout = time.Until(deadline)
	}
	a, _, err := client.ExchangeWithConnContext(ctx, ask, &dns.Conn{Conn: c, UDPSize: dns.MaxMsgSize})
	if a != nil {
		return a, nil // also if it is not the whole of it
	}
	return nil, err
}
