package main

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sennit-net/sennit/stack"
)

// udpIdle is how long a flow without datagrams lives; at least two minutes
// (RFC 4787 §4.3, REQ-5).
const udpIdle = 3 * time.Minute

// udpIdleDNS is the same for questions to name servers, which are asked from
// another port each time (RFC 4787 §4.3, REQ-5 b allows less for known ports).
const udpIdleDNS = 15 * time.Second

const maxDatagram = 65535

// udpFlow carries the datagrams of one flow over the best link, and over the
// next best when that goes away.
type udpFlow struct {
	relay *relay
	flow  *stack.UDPFlow
	to    netip.AddrPort
	heard atomic.Int64 // when a datagram last came or went, UnixNano

	mu   sync.Mutex
	out  *stack.UDPConn
	link stack.LinkID
	over bool
}

func (r *relay) serveUDP(flow *stack.UDPFlow) {
	if r.dns.serves(flow.Local()) {
		r.dns.serveFlow(flow)
		return
	}
	f := &udpFlow{relay: r, flow: flow, to: flow.Local()}
	defer f.close()
	buf := make([]byte, maxDatagram)
	for f.mark(); ; {
		if err := flow.SetReadDeadline(f.expiry()); err != nil {
			return
		}
		n, cp, err := flow.ReadECN(buf)
		if err != nil {
			if f.idle() {
				return
			}
			continue
		}
		f.mark()
		out := f.current()
		if out == nil {
			return // no link has the family; a later datagram starts anew
		}
		// A datagram that could not be sent is lost, as datagrams are.
		_, _ = out.WriteToECN(buf[:n], cp, netip.AddrPort{})
	}
}

func (f *udpFlow) mark() { f.heard.Store(time.Now().UnixNano()) }

func (f *udpFlow) expiry() time.Time {
	idle := udpIdle
	if f.to.Port() == dnsPort {
		idle = udpIdleDNS
	}
	return time.Unix(0, f.heard.Load()).Add(idle)
}

// idle reports whether the flow is to end: unused for long, or the run is over.
func (f *udpFlow) idle() bool {
	return f.relay.ctx.Err() != nil || time.Until(f.expiry()) <= 0
}

// current returns the socket on the best link, a new one if the link of the
// last has gone down.
func (f *udpFlow) current() *stack.UDPConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return nil
	}
	if f.out != nil {
		if l, ok := f.relay.outer.stack.LinkByID(f.link); ok && l.Up {
			return f.out
		}
		f.out.Close()
		f.out = nil
	}
	l, ok := f.relay.outer.best(f.to.Addr())
	if !ok {
		return nil
	}
	out, err := f.relay.outer.stack.DialUDPVia(l.ID, netip.AddrPort{}, f.to)
	if err != nil {
		return nil
	}
	f.out, f.link = out, l.ID
	go f.answer(out)
	return out
}

// answer carries datagrams back until its socket is closed.
func (f *udpFlow) answer(out *stack.UDPConn) {
	buf := make([]byte, maxDatagram)
	for {
		n, cp, _, err := out.ReadFromECN(buf)
		if err != nil {
			return
		}
		f.mark()
		if _, err := f.flow.WriteECN(buf[:n], cp); err != nil {
			return
		}
	}
}

func (f *udpFlow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if f.out != nil {
		f.out.Close()
	}
	f.flow.Close()
}
