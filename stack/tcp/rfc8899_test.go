package tcp_test

import (
	"fmt"
	"testing"
	"time"
)

// RFC 4821 §7.8: a size raised a moment ago is on trial: the first timeout
// takes it back to where it was, and not further.
func TestRaisedSizeOnTrial(t *testing.T) {
	p := probing(t)
	p.Send("A 1 ack 4961 win 512")
	if i := p.Conn.Info(); i.MTU != 1500 {
		t.Fatalf("MTU %d, want 1500", i.MTU)
	}
	p.Write(3 * 1460)
	p.Drain()
	p.Pass(p.Conn.Info().RTO + 60*time.Millisecond) // a tail loss probe comes before
	p.Drain()
	if i := p.Conn.Info(); i.MTU != 1200 || i.Backoffs != 1 {
		t.Errorf("MTU %d after %d timeouts, want 1200", i.MTU, i.Backoffs)
	}
	p.Send("A 1 ack 9341 win 512")
	p.Drain()
}

// RFC 8899 §5.1.2: a size is given up when three probes of it were lost
// (MAX_PROBES), and a smaller one tried.
func TestThreeProbes(t *testing.T) {
	p := probing(t)
	at := 1
	var probes []int
	for range 5 {
		if at > 1 {
			p.Write(6000)
			var n int
			if _, err := fmt.Sscanf(p.Drain()[0], fmt.Sprintf("A %d+%%d", at), &n); err != nil {
				t.Fatal(err)
			}
			probes = append(probes, n+40)
		} else {
			probes = append(probes, 1500)
		}
		size := probes[len(probes)-1] - 40
		// All but the probe arrives.
		for n := 1; n <= 3; n++ {
			p.Send(fmt.Sprintf("A 1 ack %d win 512 sack %d-%d", at, at+size, at+size+1160*n))
		}
		p.Drain()
		at = p.Sent + 1
		p.Send(fmt.Sprintf("A 1 ack %d win 512", at))
		p.Drain()
		p.Pass(time.Minute)
	}
	if fmt.Sprint(probes[:3]) != "[1500 1500 1500]" || probes[3] >= 1500 || probes[3] <= 1200 || probes[3] != probes[4] {
		t.Errorf("probes of %v bytes, want three of 1500, then smaller ones", probes)
	}
}
