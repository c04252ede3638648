package tcp_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// jar is a client's memory of one cookie.
type jar struct {
	cookie  []byte
	off     bool
	learned [][]byte
	mss     int
	failed  int
}

func (j *jar) Cookie() ([]byte, int, bool) { return j.cookie, 1460, !j.off }
func (j *jar) Failed()                     { j.failed++ }
func (j *jar) Learned(b []byte, mss int) {
	j.learned = append(j.learned, bytes.Clone(b))
	j.mss = mss
}

// baker is a server whose cookies are all 01020304.
type baker struct {
	room, done int
}

func (b *baker) Issue() []byte { return []byte{1, 2, 3, 4} }
func (b *baker) Done()         { b.done++; b.room++ }
func (b *baker) Accept(c []byte) bool {
	if b.room == 0 || !bytes.Equal(c, b.Issue()) {
		return false
	}
	b.room--
	return true
}

func client(j *jar) tcptest.Option {
	return func(c *tcp.Config) { c.FastOpen.Client = j }
}

func server(b *baker) tcptest.Option {
	return func(c *tcp.Config) { c.FastOpen.Server = b }
}

const answer = "SA 0 win 65535 mss 1400 sackok ws 7 ack "

// fastOpening is a client whose SYN carried its first 100 bytes.
func fastOpening(t *testing.T, j *jar, opts ...tcptest.Option) *tcptest.Peer {
	t.Helper()
	p := tcptest.New(t, append(opts, tcptest.NoTimestamps, tcptest.NoDelay, client(j))...)
	p.Write(100)
	p.Conn.Open(p.Now)
	p.Expect("S 0+100 opt 220601020304")
	return p
}

// RFC 7413 §4.1.1, RFC 7413 §4.1.3: a client without cookie asks for one, and sends no
// data; it remembers cookie and MSS, or that there is none.
func TestFastOpenAsks(t *testing.T) {
	for opt, want := range map[string][]byte{" opt 220601020304": {1, 2, 3, 4}, "": nil, " opt 220501020300": nil, " opt 22030100": nil} {
		j := &jar{}
		p := tcptest.New(t, tcptest.NoTimestamps, client(j))
		p.Write(100)
		p.Conn.Open(p.Now)
		p.Expect("S 0 opt 2202")
		p.Send(answer + "1" + opt)
		p.Expect("PA 1+100 ack 1")
		if len(j.learned) != 1 || !bytes.Equal(j.learned[0], want) || j.mss != 1400 {
			t.Errorf("%q taught %x, want %x", opt, j.learned, want)
		}
		p.Send("A 1 ack 101 win 512")
	}
}

// RFC 7413 §2: off unless both the application and the memory say so.
func TestFastOpenOff(t *testing.T) {
	p := tcptest.New(t, tcptest.NoTimestamps)
	p.Write(100)
	p.Conn.Open(p.Now)
	p.Expect("S 0 no-opt")
	j := &jar{off: true}
	p = tcptest.New(t, tcptest.NoTimestamps, client(j))
	p.Write(100)
	p.Conn.Open(p.Now)
	p.Expect("S 0 no-opt")
	p = tcptest.Listening(t, tcptest.NoTimestamps)
	p.Send("S 0+100 win 65535 mss 1460 opt 220601020304")
	p.Expect("SA 0 ack 1 no-opt")
	p.ReadErr(tcp.ErrWouldBlock)
}

// RFC 7413 §4.2.2: the SYN-ACK acknowledges the data.
func TestFastOpenTaken(t *testing.T) {
	j := &jar{cookie: []byte{1, 2, 3, 4}}
	p := fastOpening(t, j)
	p.Write(50)
	p.Nothing()
	p.Send(answer + "101")
	p.Expect("PA 101+50 ack 1")
	if len(j.learned) != 0 || p.Conn.Info().Retransmits != 0 {
		t.Errorf("learned %x, %d again", j.learned, p.Conn.Info().Retransmits)
	}
	p.Send("A 1 ack 151 win 512")
	p.Quiet(time.Hour)
}

// RFC 7413 §4.2.2: what the SYN-ACK did not acknowledge goes in the first data
// segment, at once; a new cookie replaces the old; it is no congestion.
func TestFastOpenNotTaken(t *testing.T) {
	for _, c := range []struct{ answer, want string }{
		{answer + "1 opt 220605060708", "PA 1+100 ack 1"},
		{answer + "61 opt 220605060708", "PA 61+40 ack 1"},
	} {
		j := &jar{cookie: []byte{1, 2, 3, 4}}
		p := fastOpening(t, j)
		p.Send(c.answer)
		p.Expect(c.want)
		if len(j.learned) != 1 || !bytes.Equal(j.learned[0], []byte{5, 6, 7, 8}) {
			t.Errorf("learned %x", j.learned)
		}
		p.Send("A 1 ack 101 win 512")
		if i := p.Conn.Info(); i.Ssthresh < 1<<20 {
			t.Errorf("ssthresh %d", i.Ssthresh)
		}
		p.Quiet(time.Hour)
	}
}

// An ACK beyond what was sent is none of ours (RFC 9293 §3.10.7.3).
func TestFastOpenBadAck(t *testing.T) {
	for _, ack := range []string{"0", "102"} {
		p := fastOpening(t, &jar{cookie: []byte{1, 2, 3, 4}})
		p.Send(answer + ack)
		p.Expect("R " + ack)
		p.Is(tcp.SynSent)
	}
}

// RFC 7413 §4.2.2: a SYN sent again carries neither data nor option; the memory
// hears of it once.
func TestFastOpenSYNLost(t *testing.T) {
	j := &jar{cookie: []byte{1, 2, 3, 4}}
	p := fastOpening(t, j)
	p.After(time.Second, "S 0 no-opt")
	p.After(2*time.Second, "S 0 no-opt")
	p.Send(answer + "1")
	p.Expect("PA 1+100 ack 1")
	if j.failed != 1 || len(j.learned) != 0 {
		t.Errorf("failed %d learned %x", j.failed, j.learned)
	}
	p.Send("A 1 ack 101 win 512")
	p.Quiet(time.Hour)
}

// RFC 7413 §4.2.2: a valid cookie: the data is the application's at once, and
// it may answer before the handshake is done, within the initial window
// (RFC 6928 §2).
func TestFastOpenServer(t *testing.T) {
	b := &baker{room: 1}
	p := tcptest.Listening(t, tcptest.NoTimestamps, tcptest.NoDelay, server(b))
	p.Send("S 0+100 win 65535 mss 1460 sackok ws 7 opt 220601020304")
	p.Expect("SA 0 ack 101 no-opt")
	p.Is(tcp.SynReceived)
	p.Read(100)
	p.Write(20000)
	if got := p.Drain(); len(got) != 10 {
		t.Errorf("%d segments before the handshake was done: %q", len(got), got)
	}
	if b.done != 0 {
		t.Error("done before the handshake")
	}
	p.Send("A 101 ack 14601 win 512")
	p.Is(tcp.Estab)
	p.Drain()
	p.Send("A 101 ack 20001 win 512")
	if b.done != 1 {
		t.Errorf("done %d times", b.done)
	}
	p.Quiet(time.Hour)
}

// RFC 7413 §4.1.2, RFC 7413 §4.2.2: a client that asks, or whose cookie is wrong, gets
// one; only the SYN is acknowledged.
func TestFastOpenIssue(t *testing.T) {
	for opt, want := range map[string]string{"2202": "opt 220601020304", "220605060708": "opt 220601020304", "220501020300": "no-opt"} {
		p := tcptest.Listening(t, tcptest.NoTimestamps, server(&baker{room: 1}))
		p.Send("S 0+100 win 65535 mss 1460 opt " + opt)
		p.Expect("SA 0 ack 1 " + want)
		p.ReadErr(tcp.ErrWouldBlock)
		// RFC 7413 §4.2.2: the SYN-ACK sent again has no option.
		p.After(time.Second, "SA 0 ack 1 no-opt")
		p.Send("A 1 ack 1 win 512")
	}
}

// RFC 7413 §4.2: when too many wait for the end of their handshake, the next
// are opened the ordinary way.
func TestFastOpenLimit(t *testing.T) {
	p := tcptest.Listening(t, tcptest.NoTimestamps, server(&baker{}))
	p.Send("S 0+100 win 65535 mss 1460 opt 220601020304")
	p.Expect("SA 0 ack 1")
	p.Send("A 1 ack 1 win 512")
	p.Is(tcp.Estab)
}

// RFC 7413 §4.2.2: data that left before the handshake was done is sent again
// when lost, and a RST ends what the application has already.
func TestFastOpenServerLoss(t *testing.T) {
	b := &baker{room: 1}
	p := tcptest.Listening(t, tcptest.NoTimestamps, server(b))
	p.Send("S 0+100 win 65535 mss 1460 sackok ws 7 opt 220601020304")
	p.Expect("SA 0 ack 101")
	p.Write(10)
	p.Expect("PA 1+10 ack 101")
	p.MayShrink() // a SYN-ACK cannot say 65536
	p.After(time.Second, "SA 0 ack 101 no-opt")
	p.Send("A 101 ack 1 win 512")
	p.Is(tcp.Estab)
	p.Pass(time.Second)
	p.Expect("PA 1+10 ack 101")
	p.Drain()
	p.Send("A 101 ack 11 win 512")

	b = &baker{room: 1}
	p = tcptest.Listening(t, tcptest.NoTimestamps, server(b))
	p.Send("S 0+100 win 65535 mss 1460 sackok ws 7 opt 220601020304")
	p.Expect("SA 0 ack 101")
	p.Send("R 101")
	p.Ended(tcp.ErrReset)
	p.Read(100)
	p.ReadErr(tcp.ErrReset)
	if b.done != 1 {
		t.Errorf("done %d times", b.done)
	}
}
