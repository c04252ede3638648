package tcp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// start is a connection in one of the eleven states, and where it stands.
type start struct {
	state     tcp.State
	make      func(testing.TB, ...tcptest.Option) *tcptest.Peer
	next      int // RCV.NXT
	una, sent int // SND.UNA, SND.NXT
}

var starts = []start{
	{tcp.ClosedState, func(t testing.TB, o ...tcptest.Option) *tcptest.Peer { return tcptest.New(t, o...) }, 1, 0, 0},
	{tcp.Listen, tcptest.Listening, 1, 0, 0},
	{tcp.SynSent, tcptest.SynSent, 1, 0, 1},
	{tcp.SynReceived, tcptest.SynReceived, 1, 0, 1},
	{tcp.Estab, tcptest.Established, 1, 1, 1},
	{tcp.FinWait1, tcptest.FinWait1, 1, 1, 2},
	{tcp.FinWait2, tcptest.FinWait2, 1, 2, 2},
	{tcp.CloseWait, tcptest.CloseWait, 2, 1, 1},
	{tcp.Closing, tcptest.Closing, 2, 1, 2},
	{tcp.LastAck, tcptest.LastAck, 2, 1, 2},
	{tcp.TimeWait, tcptest.TimeWait, 2, 2, 2},
}

// arrivals are what can arrive: the name, and the segment for a connection
// that stands at s.
var arrivals = []struct {
	name string
	text func(s start) string
}{
	{"SYN", func(s start) string { return at("S", s.next) }},
	{"SYN out", func(s start) string { return at("S", s.next+900000) }},
	{"SYN ACK", func(s start) string { return ack("SA", s.next-1, s.sent) }},
	{"ACK", func(s start) string { return ack("A", s.next, s.sent) }},
	{"ACK old", func(s start) string { return ack("A", s.next, s.una) }},
	{"ACK out", func(s start) string { return ack("A", s.next+900000, s.sent) }},
	{"ACK wild", func(s start) string { return ack("A", s.next, s.sent+7) }},
	{"no ACK", func(s start) string { return at("-", s.next) }},
	{"RST", func(s start) string { return ack("RA", s.next, s.sent) }},
	{"RST in", func(s start) string { return ack("RA", s.next+5, s.sent) }},
	{"RST out", func(s start) string { return ack("RA", s.next+900000, s.sent) }},
	{"RST bare", func(s start) string { return at("R", s.next) }},
	{"FIN", func(s start) string { return ack("FA", s.next, s.sent) }},
	{"FIN old", func(s start) string { return ack("FA", s.next, s.una) }},
	{"FIN out", func(s start) string { return ack("FA", s.next+900000, s.sent) }},
	{"data", func(s start) string { return ack("A", s.next, s.sent, "+10") }},
	{"data in", func(s start) string { return ack("A", s.next+5, s.sent, "+10") }},
	{"data out", func(s start) string { return ack("A", s.next+900000, s.sent, "+10") }},
}

func at(flags string, seq int) string { return fmt.Sprintf("%s %d win 512", flags, seq) }
func ack(flags string, seq, n int, more ...string) string {
	return fmt.Sprintf("%s %d%s ack %d win 512", flags, seq, strings.Join(more, ""), n)
}

// outcome is what a connection did: the flags of what it sent, and its state
// if that is another.
func outcome(p *tcptest.Peer, was tcp.State) string {
	var did []string
	for _, s := range p.Drain() {
		flags, _, _ := strings.Cut(s, " ")
		did = append(did, flags)
	}
	if s := p.Conn.State(); s != was {
		did = append(did, s.String())
	}
	if len(did) == 0 {
		return "-"
	}
	return strings.Join(did, ">")
}

// states is the table: for each arrival what each state does, in the order of
// starts. A is an ACK, R a RST, SA a SYN-ACK; "-" is nothing at all. A comma
// stands between what are both right: RFC 6191 §2 lets a SYN be dropped in
// TIME-WAIT, RFC 5961 §4.2 challenges it.
const states = `
SYN      | - SA>SYN-RECEIVED SA>SYN-RECEIVED A A A A A A A -,A
SYN out  | - SA>SYN-RECEIVED SA>SYN-RECEIVED A A A A A A A A
SYN ACK  | - R A>ESTABLISHED ESTABLISHED A A A A A A A
ACK      | - R - ESTABLISHED - FIN-WAIT-2 - - TIME-WAIT CLOSED -
ACK old  | - R R R - - - - - - -
ACK out  | - R - A A A A A A A A
ACK wild | - R R R A A A A A A A
no ACK   | - - - - - - - - - - -
RST      | - - CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED -
RST in   | - - CLOSED A A A A A A A -
RST out  | - - CLOSED - - - - - - - -
RST bare | - - - CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED CLOSED -
FIN      | - R - A>CLOSE-WAIT A>CLOSE-WAIT A>TIME-WAIT A>TIME-WAIT - TIME-WAIT CLOSED -
FIN old  | - R R R A>CLOSE-WAIT A>CLOSING A>TIME-WAIT - - - -
FIN out  | - R - A A A A A A A A
data     | - R - ESTABLISHED - FIN-WAIT-2 - - TIME-WAIT CLOSED -
data in  | - R - A>ESTABLISHED A A>FIN-WAIT-2 A - TIME-WAIT CLOSED -
data out | - R - A A A A A A A A
`

// RFC 9293 §3.10.7.4 with RFC 5961 §3.2, §4.2 and §5.2, and RFC 1337 §3: every
// state meets every arrival.
func TestStatesAndArrivals(t *testing.T) {
	want := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(states)) {
		name, cells, _ := strings.Cut(line, "|")
		want[strings.TrimSpace(name)] = strings.Fields(cells)
	}
	for _, a := range arrivals {
		cells := want[a.name]
		var row []string
		for i, s := range starts {
			p := s.make(t)
			if p.Conn.State() != s.state {
				t.Fatalf("made %v, want %v", p.Conn.State(), s.state)
			}
			p.Send(a.text(s))
			got := outcome(p, s.state)
			row = append(row, got)
			if i >= len(cells) || !slices.Contains(strings.Split(cells[i], ","), got) {
				t.Errorf("%v meets %s (%s): %s", s.state, a.name, a.text(s), got)
			}
		}
		if t.Failed() {
			t.Logf("%-8s| %s", a.name, strings.Join(row, " "))
		}
	}
}
