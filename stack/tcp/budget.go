package tcp

import "sync/atomic"

// Budget is memory that connections share: for bytes received and not read,
// bytes that wait for a hole before them, and bytes written and not
// acknowledged. It is safe for concurrent use. Nothing is refused because of
// it that was promised or acknowledged: as it runs short, windows and send
// buffers get smaller, down to a little for each connection, so that all get
// on. A nil Budget is unlimited.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int) *Budget { return &Budget{limit: int64(limit)} }

// Used returns how many bytes are held.
func (b *Budget) Used() int {
	if b == nil {
		return 0
	}
	return int(b.used.Load())
}

// Left returns how many bytes there are still; never negative.
func (b *Budget) Left() int {
	if b == nil {
		return 1 << 40
	}
	return int(max(b.limit-b.used.Load(), 0))
}

// Tight reports whether three quarters are used.
func (b *Budget) Tight() bool { return b != nil && int64(b.Left()) < b.limit/4 }

// Grant returns how much of n bytes one connection may promise or queue now: at
// most an eighth of what is left, but never less than floor.
func (b *Budget) Grant(n, floor int) int {
	return min(n, max(b.Left()/8, floor))
}

// Charge replaces what a holder had charged before, *held, by n.
func (b *Budget) Charge(held *int, n int) {
	if b == nil || n == *held {
		return
	}
	b.used.Add(int64(n - *held))
	*held = n
}

// budgetFloor is what a connection may always promise or queue: two segments.
const budgetFloor = 2 * 1460

// account charges what the stream holds to the shared budget.
func (s *Stream) account() {
	b := s.conn.cfg.Budget
	if b == nil {
		return
	}
	n := s.in.Len() + s.out.Len() + s.conn.snd.unacked() + s.conn.early()
	if s.conn.life.over {
		n = s.in.Len()
	}
	b.Charge(&s.charged, n)
}

// early is how many bytes wait for a hole before them.
func (c *Conn) early() int {
	if c.rcv.early == nil {
		return 0
	}
	return c.rcv.early.queue.Bytes()
}

// earlyLimit is how many bytes may wait out of order: as many as the window
// lets in, so that all of it serves data behind a hole; when memory runs short,
// no more than do already. That drops bytes nobody was told about; what SACK
// reported stays (RFC 2018 §8).
func (c *Conn) earlyLimit() int {
	// What is before the edge was promised; a closed window still bounds it.
	limit := max(c.rcv.win.most, c.maxWindow())
	if b := c.cfg.Budget; b.Tight() {
		limit = min(limit, c.early()+b.Left())
	}
	return limit
}
