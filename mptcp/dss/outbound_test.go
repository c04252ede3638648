package dss

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sennit-net/sennit/stack/seq"
)

// RFC 8684 §3.3.6: what to send again elsewhere is what no Data ACK covers.
func TestOutbound(t *testing.T) {
	var o Outbound
	o.Add(Mapping{Off: 0, DSN: 100, Len: 10})
	o.Add(Mapping{Off: 10, DSN: 110, Len: 10})
	o.Add(Mapping{Off: 20, DSN: 150, Len: 10, Fin: true})
	if _, ok := o.At(30); ok {
		t.Error("offset 30 has no mapping")
	}
	// RFC 8684 §3.3.1: inside a mapping, the mapping as it was declared.
	if m, ok := o.At(15); !ok || m.Off != 10 || m.DSN != 110 {
		t.Errorf("at 15: %+v", m)
	}
	if got, want := o.Unacked(nil), []Range{{100, 20}, {150, 10}}; !slices.Equal(got, want) {
		t.Errorf("unacked %v, want %v", got, want)
	}
	if m, ok := o.Covering(119); !ok || m.Off != 10 {
		t.Errorf("covering 119: %+v", m)
	}
	if _, ok := o.Covering(120); ok {
		t.Error("nothing carries 120")
	}
	// RFC 8684 §3.3.2: one of the two acknowledgements is not enough.
	o.Acked(20)
	if o.Len() != 3 {
		t.Errorf("the subflow's ACK alone dropped mappings: %d left", o.Len())
	}
	o.DataAcked(105)
	if got, want := o.Unacked(nil), []Range{{105, 15}, {150, 10}}; !slices.Equal(got, want) {
		t.Errorf("unacked %v, want %v", got, want)
	}
	o.DataAcked(160)
	if m, ok := o.At(25); !ok || m.DSN != 150 || o.Len() != 1 {
		t.Errorf("Data ACK alone dropped a mapping that may be retransmitted: %d left", o.Len())
	}
	o.DataAcked(120) // an old one
	o.Acked(30)
	if o.Len() != 0 || len(o.Unacked(nil)) != 0 {
		t.Errorf("%d left", o.Len())
	}
}

func TestOutboundRefusesImpossible(t *testing.T) {
	for _, m := range []Mapping{{Off: 1, Len: 1}, {Len: 0}, {Len: MaxLen + 1}, {Len: MaxLen, Fin: true}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", m)
				}
			}()
			new(Outbound).Add(m)
		}()
	}
}

// The list against one that never forgets.
func TestOutboundModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o Outbound
		var all []Mapping
		var end, acked uint64
		base := seq.Data(rapid.Uint64().Draw(t, "base"))
		una, nxt := base, base
		seen := false
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				m := Mapping{Off: end, DSN: nxt, Len: rapid.IntRange(1, 20).Draw(t, "len")}
				if rapid.Bool().Draw(t, "reinjected") {
					m.DSN = base.Add(rapid.IntRange(0, int(nxt.Sub(base))).Draw(t, "dsn"))
				}
				o.Add(m)
				all = append(all, m)
				end = m.End()
				if e := m.DSN.Add(m.Len); e.After(nxt) {
					nxt = e
				}
			case 2:
				acked = max(acked, rapid.Uint64Range(0, end).Draw(t, "ack"))
				o.Acked(acked)
			case 3:
				if d := base.Add(rapid.IntRange(0, int(nxt.Sub(base))).Draw(t, "una")); d.AfterEq(una) {
					una, seen = d, true
				}
				o.DataAcked(una)
			}
		}
		var owed, got []seq.Data
		for _, m := range all {
			for i := range m.Len {
				if d := m.DSN.Add(i); !seen || d.AfterEq(una) {
					owed = append(owed, d)
				}
			}
		}
		for _, r := range o.Unacked(nil) {
			for i := range r.Len {
				got = append(got, r.DSN.Add(i))
			}
		}
		if !slices.Equal(owed, got) {
			t.Fatalf("unacked %v, want %v", got, owed)
		}
		for off := acked; off < end; off++ {
			m, ok := o.At(off)
			if !ok || !slices.Contains(all, m) || m.Off > off || m.End() <= off {
				t.Fatalf("at %d: %+v %v", off, m, ok)
			}
		}
	})
}

func TestOutboundDoesNotAllocate(t *testing.T) {
	var o Outbound
	var off uint64
	step := func() {
		for range 100 {
			o.Add(Mapping{Off: off, DSN: seq.Data(off), Len: 1400})
			off += 1400
			if off > 50*1400 {
				o.Acked(off - 50*1400)
				o.DataAcked(seq.Data(off - 50*1400))
			}
		}
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
