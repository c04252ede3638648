package tcp_test

import (
	"testing"
	"time"

	"github.com/sennit-net/sennit/stack/tcp"
	"github.com/sennit-net/sennit/stack/tcptest"
)

// RFC 9293 §3.6, figure 12: normal close; §3.6.1 (MUST-13): TIME-WAIT lasts
// 2 MSL.
// Also RFC 9293 §3.6.1 (MUST-13) and, state by state, RFC 9293 §3.10.7.4.
func TestNormalClose(t *testing.T) {
	p := tcptest.TimeWait(t)
	p.Quiet(60*time.Second - 1)
	p.Is(tcp.TimeWait)
	p.Pass(1)
	p.Ended(nil)
	if !p.Stream.Ready().Has(tcp.Ended) {
		t.Error("the application does not hear of the end")
	}
}

// RFC 9293 §3.6, figure 13: simultaneous close.
// Both end in CLOSED (RFC 9293 §3.10.7.4, fifth check).
func TestSimultaneousClose(t *testing.T) {
	p := tcptest.Closing(t)
	p.Send("A 2 ack 2 win 512")
	p.Is(tcp.TimeWait)
	p.Pass(60 * time.Second)
	p.Ended(nil)
}

// RFC 9293 §3.10.7.4, eighth check: FIN and the ACK of our FIN in one.
func TestFinAndAckTogether(t *testing.T) {
	p := tcptest.FinWait1(t)
	p.Send("FA 1 ack 2 win 512")
	p.Expect("A 2 ack 2")
	p.Is(tcp.TimeWait)
}

// RFC 9293 §3.10.7.4, fifth check: LAST-ACK ends with the ACK of our FIN.
func TestPassiveClose(t *testing.T) {
	p := tcptest.LastAck(t)
	p.Send("A 2 ack 2 win 512")
	p.Ended(nil)
}

// RFC 9293 §3.6: half-close; each direction goes on without the other.
// RFC 9293 §3.6.1 (MAY-1): closing all is something else; see TestDataAfterClose.
func TestHalfClose(t *testing.T) {
	p := tcptest.FinWait2(t)
	p.Send("A 1+1000 ack 2 win 512")
	p.Read(1000)
	p.After(40*time.Millisecond, "A 2 ack 1001")
	p.Send("FA 1001 ack 2 win 512")
	p.Expect("A 2 ack 1002")
	p.ReadEOF()
	p.Is(tcp.TimeWait)

	p = tcptest.CloseWait(t)
	p.ReadEOF()
	p.Write(500)
	p.Expect("PA 1+500 ack 2")
	p.Send("A 2 ack 501 win 512")
	p.Shutdown(tcp.CloseWriting)
	p.Expect("FA 501 ack 2")
	if _, err := p.Stream.Write(p.Now, []byte{1}); err != tcp.ErrClosed {
		t.Errorf("Write after closing: %v", err)
	}
	p.Send("A 2 ack 502 win 512")
	p.Ended(nil)
}

// RFC 9293 §3.10.4: the FIN follows the last byte, on the same segment where
// it fits.
func TestFinRidesOnData(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.Write(50) // held by Nagle
	p.Nothing()
	p.Shutdown(tcp.CloseWriting)
	p.Expect("FPA 101+50 ack 1")
	p.Is(tcp.FinWait1)
	p.Send("A 1 ack 151 win 512")
	p.Is(tcp.FinWait1)
	p.Send("A 1 ack 152 win 512")
	p.Is(tcp.FinWait2)
}

// The FIN is retransmitted like data (RFC 9293 §3.4).
func TestFinRetransmission(t *testing.T) {
	p := tcptest.FinWait1(t)
	rto := p.Conn.Info().RTO
	p.After(rto, "FA 1 ack 1")
	p.After(2*rto, "FA 1 ack 1")
	p.Send("A 1 ack 2 win 512")
	p.Is(tcp.FinWait2)
	p.Quiet(time.Hour)

	// With data before it, both go again together.
	p = tcptest.Established(t, tcptest.NoTimestamps)
	p.Write(100)
	p.Expect("PA 1+100 ack 1")
	p.Shutdown(tcp.CloseWriting)
	p.Expect("FA 101 ack 1")
	p.After(50*time.Millisecond+2*time.Microsecond, "FPA 1+100 ack 1") // RFC 8985 §7.2
	p.After(p.Conn.Info().RTO, "FPA 1+100 ack 1")
	p.Send("A 1 ack 102 win 512")
	p.Is(tcp.FinWait2)
}

// RFC 9293 §3.10.7.4: a FIN before its turn waits for the bytes before it.
func TestEarlyFin(t *testing.T) {
	p := tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("FA 11+10 ack 1 win 512")
	p.Expect("A 1 ack 1 sack 11-21")
	p.Is(tcp.Estab)
	p.Send("A 1+10 ack 1 win 512")
	p.Expect("A 1 ack 22 no-sack")
	p.Is(tcp.CloseWait)
	p.Read(20)
	p.ReadEOF()

	// Only the FIN is early.
	p = tcptest.Established(t, tcptest.NoTimestamps)
	p.Send("FA 11 ack 1 win 512")
	p.Expect("A 1 ack 1")
	p.Send("A 1+10 ack 1 win 512")
	p.Expect("A 1 ack 12")
	p.Is(tcp.CloseWait)
}

// RFC 9293 §3.10.7.4, eighth check: a FIN seen again in TIME-WAIT is
// acknowledged, and the 2 MSL begin anew.
// So it is for RFC 9293 §3.6.1 (MUST-13): a late FIN finds an answer.
func TestTimeWaitFinAgain(t *testing.T) {
	p := tcptest.TimeWait(t)
	p.Quiet(50 * time.Second)
	p.Send("FA 1 ack 2 win 512")
	p.Expect("A 2 ack 2")
	p.Quiet(50 * time.Second)
	p.Is(tcp.TimeWait)
	p.Pass(10 * time.Second)
	p.Ended(nil)
}

// RFC 1337 §3: TIME-WAIT ignores a RST.
// RFC 9293 §3.10.7.4, second check.
func TestTimeWaitReset(t *testing.T) {
	p := tcptest.TimeWait(t)
	p.Send("R 2")
	p.Is(tcp.TimeWait)
}

func TestNoTimeWait(t *testing.T) {
	p := tcptest.TimeWait(t, tcptest.Tuned(tcp.Tuning{TimeWait: -1}))
	p.Pass(time.Millisecond)
	p.Ended(nil)
}

// RFC 9293 §3.6.1 (SHLD-3): after a full close, data that arrives is answered
// with a RST.
func TestDataAfterClose(t *testing.T) {
	p := tcptest.Established(t)
	p.Shutdown(tcp.CloseBoth)
	p.Expect("FA 1 ack 1")
	p.Send("A 1+10 ack 2 win 512")
	p.Expect("RA 2 ack 1")
	p.Ended(tcp.ErrAborted)
}

// RFC 9293 §3.6.1 (SHLD-3): data not read at a full close likewise.
func TestUnreadDataAtClose(t *testing.T) {
	p := tcptest.Established(t)
	p.Send("A 1+10 ack 1 win 512")
	p.Shutdown(tcp.CloseBoth)
	p.Expect("RA 1 ack 11")
	p.Ended(tcp.ErrAborted)
}

// FIN-WAIT-2 after a full close does not last for ever; after a half-close it
// may.
func TestFinWait2Timeout(t *testing.T) {
	p := tcptest.Established(t)
	p.Shutdown(tcp.CloseBoth)
	p.Expect("FA 1 ack 1")
	p.Send("A 1 ack 2 win 512")
	p.Is(tcp.FinWait2)
	p.Quiet(60*time.Second - 1)
	p.Is(tcp.FinWait2)
	p.Pass(1)
	p.Ended(nil)

	p = tcptest.FinWait2(t)
	p.Quiet(24 * time.Hour)
	p.Is(tcp.FinWait2)
	p.Shutdown(tcp.CloseReading)
	p.Pass(60 * time.Second)
	p.Ended(nil)
}

// RFC 9293 §3.10.5: ABORT in each state.
func TestAbort(t *testing.T) {
	for _, c := range []struct {
		make func(testing.TB, ...tcptest.Option) *tcptest.Peer
		rst  string
	}{
		{tcptest.SynReceived, "RA 1 ack 1"},
		{tcptest.Established, "RA 1 ack 1"},
		{tcptest.FinWait1, "RA 2 ack 1"},
		{tcptest.FinWait2, "RA 2 ack 1"},
		{tcptest.CloseWait, "RA 1 ack 2"},
		{tcptest.Closing, "RA 2 ack 2"},
		{tcptest.LastAck, "RA 2 ack 2"},
		{tcptest.TimeWait, ""},
	} {
		p := c.make(t)
		p.Abort()
		if c.rst != "" {
			p.Expect(c.rst)
		}
		p.Nothing()
		p.Ended(tcp.ErrAborted)
		if !p.Stream.Ready().Has(tcp.Ended) {
			t.Error("not ended")
		}
	}
}

// RFC 9293 §3.10.7.4, second check: a RST in each state (MUST-12: the
// application hears the difference).
// RFC 9293 §3.6 (MUST-12); RFC 9293 §3.5.3 (SHLD-2).
func TestReset(t *testing.T) {
	for _, c := range []struct {
		make func(testing.TB, ...tcptest.Option) *tcptest.Peer
		rst  string
		err  error
	}{
		{tcptest.Established, "R 1", tcp.ErrReset},
		{tcptest.FinWait1, "R 1", tcp.ErrReset},
		{tcptest.FinWait2, "R 1", tcp.ErrReset},
		{tcptest.CloseWait, "R 2", tcp.ErrReset},
		{tcptest.Closing, "R 2", nil},
		{tcptest.LastAck, "R 2", nil},
	} {
		p := c.make(t)
		p.Send(c.rst)
		p.Ended(c.err)
		p.Nothing()
	}
	// SHLD-2: a RST may carry data.
	p := tcptest.Established(t)
	p.Send("R 1+20")
	p.Ended(tcp.ErrReset)
	p.ReadErr(tcp.ErrReset)
	// What was received before is still read.
	p = tcptest.Established(t)
	p.Send("A 1+20 ack 1 win 512")
	p.Send("R 21")
	p.Read(20)
	p.ReadErr(tcp.ErrReset)
}

// RFC 6191 §2: which SYN may take a connection in TIME-WAIT over.
// RFC 9293 §3.6.1 (MAY-2, SHLD-4).
func TestReopen(t *testing.T) {
	for _, c := range []struct {
		syn  string
		want bool
	}{
		{"S 2", true}, {"S 100", true}, {"S 1", false}, {"S -100", false},
		{"SA 100 ack 1", false}, {"R 100", false}, {"S -100 ts 9/0", true},
	} {
		p := tcptest.TimeWait(t)
		if got := p.Reopens(c.syn); got != c.want {
			t.Errorf("%s: %v, want %v", c.syn, got, c.want)
		}
	}
}
