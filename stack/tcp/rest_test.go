package tcp

import (
	"testing"

	"github.com/sennit-net/sennit/stack/mono"
)

// A connection that was busy and now rests holds no memory for what may come,
// and goes on as if nothing had happened.
func TestRest(t *testing.T) {
	l := pair(t, nil)
	for range 6 {
		l.step()
	}
	buf := make([]byte, 64<<10)
	exchange := func() {
		l.ends[0].Write(l.now, buf)
		l.ends[1].Write(l.now, buf)
		got := [2]int{}
		for range 400 {
			l.step()
			for i, e := range l.ends {
				n, _ := e.Read(l.now, buf)
				got[i] += n
			}
		}
		if got != [2]int{len(buf), len(buf)} {
			t.Fatalf("read %v", got)
		}
	}
	exchange()
	for _, e := range l.ends {
		e.Rest()
		s, r := &e.conn.snd, &e.conn.rcv
		if s.spans.list != nil || r.scratch != nil || r.early != nil {
			t.Errorf("%d spans, %d runs kept, early %v", cap(s.spans.list), cap(r.scratch), r.early)
		}
		if err := e.conn.Check(); err != nil {
			t.Error(err)
		}
	}
	exchange()
	var never mono.Time
	if l.ends[0].Conn.State() != Estab || l.now == never {
		t.Error(l.ends[0].Conn.State())
	}
}
