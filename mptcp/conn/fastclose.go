package conn

import (
	"github.com/sennit-net/sennit/mptcp/option"
	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// Abort gives the connection up: MP_FASTCLOSE on a RST on every subflow, or a
// plain RST where there is no MPTCP (RFC 8684 §3.5, its second form).
func (c *Conn) Abort(now mono.Time) {
	c.giveUp(now)
	c.settle(now)
}

func (c *Conn) giveUp(now mono.Time) {
	if c.end.done {
		return
	}
	// MP_FASTCLOSE says which connection by the peer's key: without it a RST
	// must do.
	c.end.fast = c.phase == keyed || c.phase == confirmed
	c.fail(now, tcp.ErrAborted)
}

// receivedFastclose handles MP_FASTCLOSE, on a RST or on an ACK. It reports
// whether it counts.
func (c *Conn) receivedFastclose(now mono.Time, s *subflow, onReset bool) bool {
	if c.work.set.Fastclose.Key != c.keys.local || c.phase < keyed {
		// RFC 8684 §3.5: the key is what proves it.
		c.record(now, OptionIgnored{Sub: s.id, Option: option.SubFastclose, Reason: "wrong key"})
		return false
	}
	// RFC 8684 §3.5: answered with a RST on this subflow, unless it came on one,
	// and the others are reset too.
	for _, o := range c.subs {
		if o != s {
			o.kill(ErrFastclose)
		}
	}
	if s.acts.err == nil {
		s.acts.err = ErrFastclose
	}
	if c.bothFins() {
		// All data went both ways before: nothing was lost.
		c.finish(now, nil)
		return true
	}
	c.finish(now, ErrFastclose)
	return true
}
