package tcp

import (
	"testing"
	"time"
	"unsafe"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/wire"
)

// remnantOf runs a connection into TIME-WAIT and returns what is left of it,
// and the last instant.
func remnantOf(t *testing.T, noTimestamps bool) (Remnant, *Conn, mono.Time) {
	t.Helper()
	l := pair(t, func(_ int, c *Config) { c.NoTimestamps = noTimestamps })
	until := func(end int, s State) {
		t.Helper()
		for range 20 {
			if l.ends[end].Conn.State() == s {
				return
			}
			l.step()
		}
		t.Fatalf("%v, want %v", l.ends[end].Conn.State(), s)
	}
	until(0, Estab)
	until(1, Estab)
	l.ends[0].Shutdown(l.now, CloseBoth)
	until(1, CloseWait)
	if l.ends[0].Lingers() {
		t.Fatal("the peer has not closed yet")
	}
	l.ends[1].Shutdown(l.now, CloseBoth)
	until(0, TimeWait)
	until(1, ClosedState)
	c := l.ends[0].Conn
	if c.State() != TimeWait || !l.ends[0].Lingers() || l.ends[1].Lingers() {
		t.Fatalf("states %v %v", c.State(), l.ends[1].Conn.State())
	}
	r, ok := l.ends[0].Remnant(0)
	if !ok {
		t.Fatal("no remnant")
	}
	return r, c, l.now
}

// RFC 6191 §2: a SYN that hits TIME-WAIT begins a new connection if it cannot
// be an old duplicate, by its timestamp or else by its sequence number. Any
// other gets a challenge ACK and changes nothing (RFC 9293 §3.10.7.4, fourth
// check; RFC 5961 §4.2). A machine and its remnant agree.
func TestTimeWaitSYN(t *testing.T) {
	const none = 1 << 20 // no timestamp on the SYN
	for _, c := range []struct {
		name   string
		oldTS  bool // the earlier connection used timestamps
		newTS  bool // ours would
		ts     int  // of the SYN, from the last one seen
		seq    int  // of the SYN, from the FIN's
		reopen bool
	}{
		// The earlier one used timestamps, the new one would.
		{"later timestamp, earlier number", true, true, 1, -100, true},
		{"same timestamp, later number", true, true, 0, 1, true},
		{"same timestamp, same number", true, true, 0, 0, false},
		{"same timestamp, earlier number", true, true, 0, -1, false},
		{"earlier timestamp, later number", true, true, -1, 100, false},
		// The new one would not: its SYN has none, or our SYN-ACK would not.
		{"no timestamp, later number", true, true, none, 1, true},
		{"no timestamp, same number", true, true, none, 0, false},
		{"we would not, later timestamp, earlier number", true, false, 5, -1, false},
		{"we would not, later number", true, false, -5, 1, true},
		// The earlier one did not.
		{"new timestamps", false, true, 0, -100, true},
		{"none at all, later number", false, true, none, 1, true},
		{"none at all, same number", false, true, none, 0, false},
		{"none at all, earlier number", false, true, none, -1, false},
		{"new timestamps we would not use", false, false, 0, -1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, conn, now := remnantOf(t, !c.oldTS)
			var syn, out wire.Segment
			syn.Reset()
			syn.Flags = wire.SYN
			syn.Seq = r.rcvNxt.Add(-1 + c.seq) // RCV.NXT is one beyond the FIN
			if c.ts != none {
				syn.Timestamps, syn.TSVal = true, r.recent+uint32(int32(c.ts))
			}
			if got := r.Reopens(&syn, c.newTS); got != c.reopen {
				t.Errorf("remnant reopens: %v", got)
			}
			if got := conn.Reopens(&syn, c.newTS); got != c.reopen {
				t.Errorf("machine reopens: %v", got)
			}
			want := wire.ACK
			before := r.Until()
			if !r.Receive(now, &syn, &out) || out.Flags != want || out.Seq != r.nxt || out.Ack != r.rcvNxt {
				t.Errorf("remnant answers %v", &out)
			}
			again := syn
			conn.Receive(now, &again)
			if !conn.Emit(now, &out) || out.Flags != want || out.Seq != r.nxt || out.Ack != r.rcvNxt {
				t.Errorf("machine answers %v", &out)
			}
			if conn.State() != TimeWait || r.Until() != before {
				t.Errorf("machine in %v, remnant for %v more", conn.State(), r.Until().Sub(before))
			}
		})
	}
}

// RFC 1337 §3: a RST does not end TIME-WAIT (fix F1): an old duplicate makes us
// ACK, the peer answers that with a RST, and still we wait.
func TestTimeWaitAssassination(t *testing.T) {
	r, conn, now := remnantOf(t, true)
	var data, out, rst wire.Segment
	data.Reset()
	data.Flags, data.Seq, data.Ack = wire.ACK|wire.FIN, r.rcvNxt.Add(-50), r.nxt
	before := r.Until()
	if !r.Receive(now, &data, &out) || out.Flags != wire.ACK || out.Seq != r.nxt || out.Ack != r.rcvNxt {
		t.Fatalf("answer %v", &out)
	}
	if !ResetFor(&out, &rst) || rst.Seq != r.rcvNxt {
		t.Fatalf("RST %v", &rst)
	}
	if r.Receive(now.Add(time.Second), &rst, &out) || r.Until() < before {
		t.Error("the RST had an effect")
	}
	conn.Receive(now, &rst)
	if conn.State() != TimeWait || conn.Emit(now, &out) {
		t.Errorf("the machine is in %v", conn.State())
	}
}

// RFC 9293 §3.10.7.4 in TIME-WAIT, and RFC 5961 §7: what a remnant answers.
func TestRemnant(t *testing.T) {
	r, _, now := remnantOf(t, false)
	if n := unsafe.Sizeof(r); n > 80 {
		t.Errorf("a remnant takes %d bytes", n)
	}
	left := r.Until().Sub(now)
	if left <= 59*time.Second || left > time.Minute {
		t.Errorf("%v left", left)
	}
	at := func(flags wire.Flags, off int, ts int) *wire.Segment {
		var seg wire.Segment
		seg.Reset()
		seg.Flags, seg.Seq, seg.Ack = flags, r.rcvNxt.Add(off), r.nxt
		seg.Timestamps, seg.TSVal = true, r.recent+uint32(int32(ts))
		return &seg
	}
	var out wire.Segment
	now = now.Add(10 * time.Second)
	if r.Receive(now, at(wire.ACK, 0, 1), &out) {
		t.Error("an acceptable ACK is answered")
	}
	if r.Until().Sub(now) > 50*time.Second {
		t.Error("an ACK restarts 2 MSL")
	}
	// The FIN again: our last ACK was lost.
	if !r.Receive(now, at(wire.FIN|wire.ACK, -1, 0), &out) || !out.Timestamps || out.TSEcr != r.recent {
		t.Errorf("answer to the FIN: %v", &out)
	}
	if r.Until().Sub(now) != time.Minute {
		t.Errorf("2 MSL: %v left", r.Until().Sub(now))
	}
	// An old duplicate of it does not restart the time (RFC 7323 §5.3).
	now = now.Add(time.Second)
	if !r.Receive(now, at(wire.FIN|wire.ACK, -1, -5), &out) || r.Until().Sub(now) != 59*time.Second {
		t.Errorf("old FIN: %v left", r.Until().Sub(now))
	}
	// No timestamp: dropped (RFC 7323 §3.2).
	bare := at(wire.FIN|wire.ACK, -1, 0)
	bare.Timestamps = false
	if r.Receive(now, bare, &out) {
		t.Error("answered without timestamp")
	}
	// Empty segments out of the window get a bounded number of answers.
	answers := 0
	for range 100 {
		if r.Receive(now, at(wire.ACK, 1<<30, 0), &out) {
			answers++
		}
	}
	if answers != challengesPerSecond {
		t.Errorf("%d answers in an instant", answers)
	}
	if !r.Receive(now.Add(time.Second), at(wire.ACK, 1<<30, 0), &out) {
		t.Error("no answer a second later")
	}
	if !r.Reusable(now) || r.Next() != out.Seq {
		t.Error("reuse")
	}
}
