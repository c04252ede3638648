package stack

import "github.com/sennit-net/sennit/stack/mono"

// Batches is a link endpoint that calls BatchEnd of its dispatcher after the
// last of the packets it has at hand, on the goroutine that delivers them. It
// delivers on one goroutine only.
type Batches interface{ Batches() }

// pending is the connections that have received from a link and not settled
// yet. One acknowledgment then answers all the segments of a batch, as it would
// had the device joined them (RFC 9293 §3.8.6.3, RFC 5681 §4.2: at once, which
// is when the last packet that is there has been looked at). Only the goroutine
// that delivers uses it.
type pending struct {
	on    bool // the link says where a batch ends
	socks []received
}

// received is a connection and when it last received.
type received struct {
	k   *Sock
	now mono.Time
}

// defers puts off settling k and reports whether it did. A connection that is
// in the list already may get in once more: settling twice does no harm.
func (b *pending) defers(k *Sock, now mono.Time) bool {
	if !b.on {
		return false
	}
	if n := len(b.socks); n > 0 && b.socks[n-1].k == k {
		b.socks[n-1].now = now
		return true
	}
	b.socks = append(b.socks, received{k, now})
	return true
}

// BatchEnd settles the connections that have received. They settle at the time
// they received: what that made due is to be emitted before time goes on.
func (g *ingress) BatchEnd() {
	b := &g.nic.batch
	for i := 0; i < len(b.socks); i++ { // settling may deliver more
		r := b.socks[i]
		b.socks[i] = received{}
		r.k.mu.Lock()
		if r.k.life.gone {
			r.k.mu.Unlock()
			continue
		}
		r.k.settle(r.now)
	}
	b.socks = b.socks[:0]
}
