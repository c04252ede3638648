package cc

// PRR is Proportional Rate Reduction (RFC 9937): during fast recovery it lets a
// sender put back as much as the network delivered, in the proportion of the
// reduction, so that recovery neither falls silent nor bursts, and ends with
// ssthresh in flight. Counting is in bytes.
type PRR struct {
	target    int // ssthresh, from the controller
	flight    int // RecoverFS
	delivered int // prr_delivered
	out       int // prr_out
	cwnd      int
}

// Begin starts a response to congestion (RFC 9937 §6.1). ssthresh is what the
// controller chose; flight is what was outstanding and not SACKed before the
// ACK that started it; inFlight what is counted as in flight now.
func (p *PRR) Begin(ssthresh, flight, inFlight int) {
	*p = PRR{target: ssthresh, flight: max(flight, 1), cwnd: inFlight}
}

// Delivered tells of n bytes newly known to have arrived, inFlight being in
// flight now. safe says that SND.UNA advanced and the ACK indicated no further
// loss (RFC 9937 §6.2).
func (p *PRR) Delivered(n, inFlight, mss int, safe bool) {
	if n <= 0 {
		return
	}
	p.delivered += n
	var send int
	if inFlight > p.target {
		// Proportional rate reduction.
		// RFC 9937 §13: the product needs 64 bits.
		send = int((int64(p.delivered)*int64(p.target)+int64(p.flight)-1)/int64(p.flight)) - p.out
	} else {
		// Conservative reduction bound; slow start where the ACK is safe.
		send = max(p.delivered-p.out, n)
		if safe {
			send += mss
		}
		send = min(p.target-inFlight, send)
	}
	if p.out == 0 {
		send = max(send, mss) // the first retransmission always leaves
	}
	p.cwnd = inFlight + max(send, 0)
}

// Lost tells of n bytes found lost by a timer: they leave the flight, but that
// is no licence to send.
func (p *PRR) Lost(n int) { p.cwnd -= n }

// Sent tells of n bytes sent, new or again (RFC 9937 §6.3).
func (p *PRR) Sent(n int) { p.out += n }

// Window returns the congestion window while recovery goes on. At its end it is
// ssthresh (RFC 9937 §6.4), which is what the controller has.
func (p *PRR) Window() int { return p.cwnd }
