//go:build linux

package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Listen makes a listener in the namespace: of the kernel's MPTCP if that is
// switched on there and mptcp is set, of its TCP otherwise.
func (h *Host) Listen(network string, addr netip.AddrPort, mptcp bool) (ln net.Listener, err error) {
	lc := net.ListenConfig{}
	lc.SetMultipathTCP(mptcp)
	err = h.Do(func() error {
		ln, err = lc.Listen(context.Background(), network, addr.String())
		return err
	})
	return ln, err
}

// ListenPacket makes a UDP socket in the namespace.
func (h *Host) ListenPacket(network string, addr netip.AddrPort) (pc net.PacketConn, err error) {
	err = h.Do(func() error {
		pc, err = net.ListenPacket(network, addr.String())
		return err
	})
	return pc, err
}

// ServeHTTP starts the lab's web server on a port of all the server's
// addresses, kernel MPTCP where it is enabled. It knows
//
//	GET  /bytes/N   N bytes of Content
//	POST /upload    answers "COUNT SHA256" of what it got (PUT too), and in
//	                GapHeader the longest pause between two pieces of it
//	GET  /peer      answers the client's address and port
func (l *Lab) ServeHTTP(port uint16) error { return l.serveHTTP(port, true) }

// ServePlainHTTP is ServeHTTP on a socket of plain TCP.
func (l *Lab) ServePlainHTTP(port uint16) error { return l.serveHTTP(port, false) }

func (l *Lab) serveHTTP(port uint16, mptcp bool) error {
	ln, err := l.Server.Listen("tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), port), mptcp)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: Handler(), ReadHeaderTimeout: 30 * time.Second}
	go func() { _ = srv.Serve(ln) }() // ends with Close below
	l.OnClose(srv.Close)
	return nil
}

// Handler is the web server of ServeHTTP.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil || n < 0 {
			http.Error(w, "want a number of bytes", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		_, _ = io.CopyBuffer(writerOnly{w}, Content(n), make([]byte, 256<<10)) // a client that leaves is its own affair
	})
	upload := func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		body := NewGapReader(r.Body)
		n, err := io.CopyBuffer(h, body, make([]byte, 256<<10))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set(GapHeader, body.Longest.String())
		fmt.Fprintf(w, "%d %s\n", n, hex.EncodeToString(h.Sum(nil)))
	}
	mux.HandleFunc("POST /upload", upload)
	mux.HandleFunc("PUT /upload", upload)
	mux.HandleFunc("GET /peer", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.RemoteAddr) })
	return mux
}

// writerOnly hides ReadFrom, so that the buffer of CopyBuffer is used.
type writerOnly struct{ io.Writer }

// ServeUDPEcho answers each datagram to a port of the server with itself.
func (l *Lab) ServeUDPEcho(port uint16) error {
	pc, err := l.Server.ListenPacket("udp", netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(buf[:n], from) // lost like any datagram
		}
	}()
	l.OnClose(pc.Close)
	return nil
}

// ServeDNS starts a DNS server on port 53 of all the server's addresses, UDP
// and TCP. It knows server.test (all families there are), v4.server.test,
// v6.server.test, second.server.test (the other interface) and answers
// NXDOMAIN for the rest.
func (l *Lab) ServeDNS() error {
	zone := l.zone()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		_ = w.WriteMsg(answer(zone, q)) // the client asks again
	})
	at := netip.AddrPortFrom(netip.IPv6Unspecified(), 53)
	pc, err := l.Server.ListenPacket("udp", at)
	if err != nil {
		return err
	}
	ln, err := l.Server.Listen("tcp", at, false)
	if err != nil {
		pc.Close()
		return err
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: ln, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }() // ends with Shutdown
		<-started
		l.OnClose(s.Shutdown)
	}
	return nil
}

func (l *Lab) zone() map[string][]netip.Addr {
	zone := map[string][]netip.Addr{}
	add := func(name string, s *Segment, v4, v6 bool) {
		if v4 && !l.opt.NoIPv4 {
			zone[name] = append(zone[name], s.Addr4)
		}
		if v6 && !l.opt.NoIPv6 {
			zone[name] = append(zone[name], s.Addr6)
		}
	}
	add("server.test.", l.Eth0, true, true)
	add("v4.server.test.", l.Eth0, true, false)
	add("v6.server.test.", l.Eth0, false, true)
	add("second.server.test.", l.Eth1, true, true)
	return zone
}

func answer(zone map[string][]netip.Addr, q *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	if len(q.Question) != 1 {
		m.Rcode = dns.RcodeFormatError
		return m
	}
	ask := q.Question[0]
	addrs, known := zone[strings.ToLower(ask.Name)]
	if !known {
		m.Rcode = dns.RcodeNameError
		return m
	}
	head := dns.RR_Header{Name: ask.Name, Rrtype: ask.Qtype, Class: dns.ClassINET, Ttl: 60}
	for _, a := range addrs {
		switch {
		case ask.Qtype == dns.TypeA && a.Is4():
			m.Answer = append(m.Answer, &dns.A{Hdr: head, A: a.AsSlice()})
		case ask.Qtype == dns.TypeAAAA && a.Is6():
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
		}
	}
	return m
}
