package tcp_test

import "testing"

// RFC 7765 §4: with fewer than four segments, the restarted timer counts from
// when the first of what is left was sent; with four and more, from the ACK
// (RFC 6298 §5.3).
func TestTimerRestart(t *testing.T) {
	p := distant(t, noProbe)
	send(p, 0, 2, 60*ms)
	p.Pass(40 * ms)
	p.Send(upTo(1))
	p.After(p.Conn.Info().RTO-40*ms, "PA 1461+1460 ack 1")
	p.Send(upTo(2))

	p = distant(t, noProbe)
	send(p, 0, 5, 15*ms)
	p.Pass(40 * ms)
	p.Send(upTo(1))
	p.After(p.Conn.Info().RTO, "A 1461+1460 ack 1")
	p.Send("R 1")

	// What waits to be sent counts.
	p = distant(t, noProbe)
	p.Write(1460)
	p.Drain()
	p.Send("A 1 ack 1461 win 23") // two segments
	p.Write(7 * 1460)
	p.ExpectAll("A 1461+1460 ack 1", "A 2921+1460 ack 1")
	p.Pass(40 * ms)
	p.Send("A 1 ack 2921 win 23")
	p.Expect("A 4381+1460 ack 1")
	p.After(p.Conn.Info().RTO, "A 2921+1460 ack 1")
	p.Send("R 1")
}
