package stack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// ways remembers over which link, and to which of our addresses, each peer of a
// socket last sent: answers go back the same way (RFC 1122 §4.1.3.5 has the
// source address of an answer be the destination of what it answers).
type ways struct {
	by    map[netip.AddrPort]way
	order []netip.AddrPort // by[order[next]] is the one to be forgotten first
	next  int
}

type way struct {
	link  LinkID
	local netip.Addr
}

// maxWays bounds the peers remembered by one socket.
const maxWays = 4096

func (w *ways) learn(from netip.AddrPort, v way) {
	if w.by == nil {
		w.by = map[netip.AddrPort]way{}
	}
	if _, known := w.by[from]; !known {
		if len(w.order) < maxWays {
			w.order = append(w.order, from)
		} else {
			delete(w.by, w.order[w.next])
			w.order[w.next] = from
			w.next = (w.next + 1) % maxWays
		}
	}
	w.by[from] = v
}

// arrived learns from a datagram. With a single link there is nothing to learn.
func (c *UDPConn) arrived(from netip.AddrPort, m *tcpip.ReceivableControlMessages) {
	if c.remote.IsValid() || len(c.s.links.Load().all) < 2 {
		return
	}
	var v way
	switch {
	case m.HasIPv6PacketInfo:
		v = way{LinkID(m.IPv6PacketInfo.NIC), fromGV(m.IPv6PacketInfo.Addr)}
	case m.HasIPPacketInfo:
		v = way{LinkID(m.PacketInfo.NIC), fromGV(m.PacketInfo.DestinationAddr)}
	default:
		return
	}
	c.mu.Lock()
	c.ways.learn(from, v)
	c.mu.Unlock()
}

// answer sends a datagram the way the last one from to came. It does nothing,
// and reports so, when none came, or that way is not there any more.
func (c *UDPConn) answer(p []byte, tos uint8, to netip.AddrPort) (sent bool, err error) {
	c.mu.Lock()
	v, known := c.ways.by[to]
	c.mu.Unlock()
	if !known {
		return false, nil
	}
	n := c.s.links.Load().get(v.link)
	if n == nil || !n.up.Load() || !n.has(v.local) {
		return false, nil
	}
	local, e := c.ep.GetLocalAddress()
	if e != nil {
		return false, nil
	}
	return true, c.s.sendUDP(n, netip.AddrPortFrom(v.local, local.Port), to, tos, p)
}
