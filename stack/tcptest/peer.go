package tcptest

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/wire"
)

// Initial sequence numbers: both near the wrap, so that every test crosses it
// sooner or later.
const (
	ourISS   = seq.Num(0xffffff00)
	theirISS = seq.Num(0xfffffe00)
)

// Peer is the scripted peer of one connection under test.
type Peer struct {
	tb     testing.TB
	Now    mono.Time
	Stream *tcp.Stream
	Conn   *tcp.Conn
	Events []tcp.Event

	Win     string // " win ..." for a window of about 64 KiB
	Sent    int    // bytes the application wrote
	Got     int    // bytes the application read
	pending []emitted
	edge    seq.Num
	hasEdge bool
	mayMove bool
}

type emitted struct {
	at  mono.Time
	seg *wire.Segment
}

// Option changes the configuration of the connection under test.
type Option func(*tcp.Config)

// Tuned applies t, but for pacing, which stays off.
func Tuned(t tcp.Tuning) Option {
	return func(c *tcp.Config) { c.Tuning = t; c.NoPacing = true }
}

// Paced has the connection pace as by default.
func Paced() Option { return func(c *tcp.Config) { c.NoPacing = false } }

// New makes a connection under test in CLOSED. Its application is a plain
// Stream; delayed ACKs, Nagle and all else are as by default.
func New(tb testing.TB, opts ...Option) *Peer {
	tb.Helper()
	p := &Peer{tb: tb, Now: mono.Time(time.Hour)}
	cfg := tcp.Config{
		Local:  netip.MustParseAddrPort("192.0.2.1:1000"),
		Remote: netip.MustParseAddrPort("192.0.2.2:80"),
		ISS:    ourISS,
		MTU:    1500,
		// A script says when the window opens; pacing has scripts of its own.
		Tuning: tcp.Tuning{NoPacing: true},
	}
	for _, o := range opts {
		o(&cfg)
	}
	cfg.Recorder = p
	p.Win = " win 512"
	if cfg.NoWindowScale {
		p.Win = " win 65535"
	}
	p.Stream = tcp.NewStream(cfg)
	p.Conn = p.Stream.Conn
	tb.Cleanup(func() {
		if !tb.Failed() {
			p.Nothing()
		}
	})
	return p
}

// Record implements tcp.Recorder.
func (p *Peer) Record(_ mono.Time, e tcp.Event) { p.Events = append(p.Events, e) }

// Happened reports whether an event of that name was recorded since the last
// call, and forgets all.
func (p *Peer) Happened(name string) bool {
	found := false
	for _, e := range p.Events {
		found = found || e.Name() == name
	}
	p.Events = nil
	return found
}

// Rejected returns the reasons of segments rejected since the last call, and
// forgets all events.
func (p *Peer) Rejected() []tcp.Reason {
	var r []tcp.Reason
	for _, e := range p.Events {
		if x, ok := e.(tcp.SegmentRejected); ok {
			r = append(r, x.Reason)
		}
	}
	p.Events = nil
	return r
}

// pump collects what the connection has to say, and checks what must always
// hold.
func (p *Peer) pump() {
	p.tb.Helper()
	for n := 0; ; n++ {
		seg := new(wire.Segment)
		if _, ok := p.Stream.Emit(p.Now, seg); !ok {
			break
		}
		if n > 10000 {
			p.tb.Fatal("Emit goes on for ever")
		}
		p.inspect(seg)
		p.pending = append(p.pending, emitted{p.Now, seg})
	}
	if err := p.Conn.Check(); err != nil {
		p.tb.Fatalf("invariant: %v", err)
	}
	if d := p.Stream.Deadline(); d != 0 && d <= p.Now {
		p.tb.Fatalf("deadline %v is not after now, %v", d, p.Now)
	}
}

// inspect checks a segment the connection sent for what must always hold.
func (p *Peer) inspect(seg *wire.Segment) {
	p.tb.Helper()
	if n := wire.OptionLen(&seg.Options); n > wire.MaxOptions {
		p.tb.Fatalf("%d bytes of options on %s", n, describe(seg, p.from()))
	}
	if seg.Flags.Has(wire.RST) || !seg.Flags.Has(wire.ACK) {
		return
	}
	// RFC 9293 §3.3.1: SND.UNA <= SEG.SEQ, or the number before it (§3.8.4), and
	// nothing beyond SND.NXT.
	info := p.Conn.Info()
	acked, at := int(info.BytesAcked), seg.Seq.Sub(ourISS)-1
	if at < acked-1 || at+seg.Len() > acked+info.Unacked+1 {
		p.tb.Fatalf("outside of what is sent and not acknowledged: %s", describe(seg, p.from()))
	}
	// RFC 9293 §3.8.6 (SHLD-14): the right edge does not move left.
	w := int(seg.Window)
	if !seg.Flags.Has(wire.SYN) {
		w <<= p.Conn.Info().RcvShift
	}
	edge := seg.Ack.Add(w)
	if p.hasEdge && edge.Before(p.edge) && !p.mayMove {
		p.tb.Fatalf("the right edge moved left by %d: %s", p.edge.Sub(edge), describe(seg, p.from()))
	}
	p.edge, p.hasEdge = edge, true
}

// from is the origin of what the connection under test sends, to of what the
// peer sends.
func (p *Peer) from() origin { return origin{ourISS, theirISS} }
func (p *Peer) to() origin   { return origin{theirISS, ourISS} }

// Send gives the connection a segment in the notation of this package.
func (p *Peer) Send(text string) {
	p.tb.Helper()
	s, err := parse(text)
	if err != nil {
		p.tb.Fatal(err)
	}
	seg, err := s.build(p.to(), Content)
	if err != nil {
		p.tb.Fatal(err)
	}
	seg.SrcPort, seg.DstPort = p.Conn.Remote().Port(), p.Conn.Local().Port()
	p.Stream.Receive(p.Now, 0, seg)
	p.pump()
}

// Expect takes the next segment the connection sent, which must have been sent
// at this instant.
func (p *Peer) Expect(text string) *wire.Segment {
	p.tb.Helper()
	p.pump()
	if len(p.pending) == 0 {
		p.tb.Fatalf("nothing was sent, want %s", text)
	}
	return p.take(text)
}

// ExpectAll is Expect for several.
func (p *Peer) ExpectAll(texts ...string) {
	p.tb.Helper()
	for _, t := range texts {
		p.Expect(t)
	}
}

func (p *Peer) take(text string) *wire.Segment {
	p.tb.Helper()
	want, err := parse(text)
	if err != nil {
		p.tb.Fatal(err)
	}
	e := p.pending[0]
	p.pending = p.pending[1:]
	if diff := want.matches(e.seg, p.from()); diff != "" {
		p.tb.Fatalf("%s\n got %s\nwant %s", diff, describe(e.seg, p.from()), text)
	}
	if want.n > 0 {
		var got []byte
		for _, r := range e.seg.Payload {
			got = append(got, r.B...)
		}
		if !bytes.Equal(got, Content(want.off(), want.n)) {
			p.tb.Fatalf("%s carries the wrong bytes", text)
		}
	}
	for _, r := range e.seg.Payload {
		r.Release()
	}
	return e.seg
}

// Drain takes everything sent and returns it in the notation.
func (p *Peer) Drain() []string {
	p.tb.Helper()
	p.pump()
	var texts []string
	for _, e := range p.pending {
		texts = append(texts, describe(e.seg, p.from()))
		for _, r := range e.seg.Payload {
			r.Release()
		}
	}
	p.pending = nil
	return texts
}

// Peek returns the next segment the connection sent, in the notation, and leaves
// it where it is; "" if there is none.
func (p *Peer) Peek() string {
	p.tb.Helper()
	p.pump()
	if len(p.pending) == 0 {
		return ""
	}
	return describe(p.pending[0].seg, p.from())
}

// Nothing fails the test if the connection sent something not asked for.
func (p *Peer) Nothing() {
	p.tb.Helper()
	p.pump()
	if len(p.pending) > 0 {
		p.tb.Fatalf("unexpected segment %s", describe(p.pending[0].seg, p.from()))
	}
}

// advance moves the clock to the next deadline, but not past end.
func (p *Peer) advance(end mono.Time) {
	p.tb.Helper()
	d := p.Stream.Deadline()
	if d == 0 || d > end {
		p.Now = end
		return
	}
	p.Now = d
	p.Stream.Advance(p.Now)
	p.pump()
}

// Quiet lets time pass, in which the connection must stay silent.
func (p *Peer) Quiet(d time.Duration) {
	p.tb.Helper()
	p.Nothing()
	for end := p.Now.Add(d); p.Now < end; {
		start := p.Now
		p.advance(end)
		if len(p.pending) > 0 {
			p.tb.Fatalf("unexpected segment %s after %v", describe(p.pending[0].seg, p.from()), p.Now.Sub(start))
		}
	}
}

// After expects the next segment exactly d from now, and silence until then.
func (p *Peer) After(d time.Duration, text string) *wire.Segment {
	p.tb.Helper()
	p.Nothing()
	start := p.Now
	end := start.Add(d)
	for len(p.pending) == 0 && p.Now < end {
		p.advance(end)
	}
	if len(p.pending) == 0 {
		p.tb.Fatalf("nothing was sent within %v (next deadline in %v), want %s", d, p.Stream.Deadline().Sub(p.Now), text)
	}
	if p.Now != end {
		p.tb.Fatalf("sent after %v, want after %v: %s", p.Now.Sub(start), d, describe(p.pending[0].seg, p.from()))
	}
	return p.take(text)
}

// Pass lets time pass and leaves what is sent for later.
func (p *Peer) Pass(d time.Duration) {
	p.tb.Helper()
	for end := p.Now.Add(d); p.Now < end; {
		p.advance(end)
	}
}

// MayShrink lets the right edge of the window move left from now on.
func (p *Peer) MayShrink() { p.mayMove = true }

// Content is the payload by stream offset, in both directions.
func Content(off uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((off + uint64(i)) % 251)
	}
	return b
}

// Write lets the application write n bytes, all of which must be taken.
func (p *Peer) Write(n int) {
	p.tb.Helper()
	k, err := p.Stream.Write(p.Now, Content(uint64(p.Sent), n))
	if k != n || err != nil {
		p.tb.Fatalf("Write took %d of %d: %v", k, n, err)
	}
	p.Sent += n
	p.pump()
}

// Read lets the application read, which must give exactly n bytes, the right
// ones.
func (p *Peer) Read(n int) {
	p.tb.Helper()
	b := make([]byte, n)
	k, err := p.Stream.Read(p.Now, b)
	if k != n || err != nil {
		p.tb.Fatalf("Read gave %d bytes, want %d: %v", k, n, err)
	}
	if !bytes.Equal(b, Content(uint64(p.Got), n)) {
		p.tb.Fatalf("Read gave the wrong bytes at offset %d", p.Got)
	}
	p.Got += n
	p.pump()
}

// ReadErr lets the application read, which must fail with want and no bytes.
func (p *Peer) ReadErr(want error) {
	p.tb.Helper()
	k, err := p.Stream.Read(p.Now, make([]byte, 10))
	if k != 0 || !errors.Is(err, want) {
		p.tb.Fatalf("Read gave %d bytes and %v, want %v", k, err, want)
	}
}

// ReadEOF lets the application read, which must give the end of the stream.
func (p *Peer) ReadEOF() { p.tb.Helper(); p.ReadErr(io.EOF) }

// Shutdown lets the application close.
func (p *Peer) Shutdown(how tcp.How) { p.tb.Helper(); p.Stream.Shutdown(p.Now, how); p.pump() }

// Abort lets the application abort.
func (p *Peer) Abort() { p.tb.Helper(); p.Stream.Abort(p.Now); p.pump() }

// Control gives the connection an ICMP error that quotes sequence number at.
func (p *Peer) Control(kind tcp.PathErrorKind, mtu, at int) {
	p.tb.Helper()
	p.Stream.Control(p.Now, 0, tcp.PathError{Kind: kind, MTU: mtu, Seq: ourISS.Add(at)})
	p.pump()
}

// Is fails the test unless the connection is in state s.
func (p *Peer) Is(s tcp.State) {
	p.tb.Helper()
	if got := p.Conn.State(); got != s {
		p.tb.Fatalf("state is %v, want %v", got, s)
	}
}

// Ended fails the test unless the connection is over for the reason err.
func (p *Peer) Ended(err error) {
	p.tb.Helper()
	p.Is(tcp.ClosedState)
	if !errors.Is(p.Conn.Err(), err) || (err == nil) != (p.Conn.Err() == nil) {
		p.tb.Fatalf("ended with %v, want %v", p.Conn.Err(), err)
	}
	if p.Stream.Deadline() != 0 {
		p.tb.Fatal("a timer still runs")
	}
}

// Reopens asks whether the SYN may take over a connection in TIME-WAIT.
func (p *Peer) Reopens(text string) bool {
	p.tb.Helper()
	s, err := parse(text)
	if err != nil {
		p.tb.Fatal(err)
	}
	seg, err := s.build(p.to(), Content)
	if err != nil {
		p.tb.Fatal(err)
	}
	return p.Conn.Reopens(seg, true)
}

// Waiting returns how many segments the connection sent that were not taken.
func (p *Peer) Waiting() int { p.tb.Helper(); p.pump(); return len(p.pending) }

// Take takes the next segment the connection sent, whatever it is. Its payload
// counts, but may not be read.
func (p *Peer) Take() *wire.Segment {
	p.tb.Helper()
	if p.Waiting() == 0 {
		p.tb.Fatal("nothing was sent")
	}
	seg := p.pending[0].seg
	p.pending = p.pending[1:]
	for _, r := range seg.Payload {
		r.Release()
	}
	return seg
}
