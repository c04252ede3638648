package tcpinterop

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What tcpi_options says (linux/tcp.h).
const (
	optTimestamps = 1
	optSACK       = 2
	optScale      = 4
)

// Content crosses in both directions whatever the kernel negotiates: timestamps
// and window scale (RFC 7323), SACK (RFC 2018), each on and off.
func TestOptionsOfTheKernel(t *testing.T) {
	r := newRig(t, options{})
	n := amount(t, 8e6)
	for bits := range 8 {
		var on []string
		for _, o := range []struct {
			name, key string
			bit       int
		}{
			{"timestamps", "net.ipv4.tcp_timestamps", optTimestamps},
			{"SACK", "net.ipv4.tcp_sack", optSACK},
			{"scale", "net.ipv4.tcp_window_scaling", optScale},
		} {
			value := "0"
			if bits&o.bit != 0 {
				value = "1"
				on = append(on, o.name)
			}
			r.must(r.Server.Sysctl(o.key, value))
		}
		for _, k := range r.kinds() {
			t.Run(fmt.Sprintf("%s/%s", strings.Join(append(on, "rest off"), "+"), k), func(t *testing.T) {
				p := r.connect(t, k, patience(2*n))
				if got := int(p.tcpInfo(t).Options) & 7; got != bits {
					t.Errorf("the kernel negotiated %#b, want %#b", got, bits)
				}
				there, back := p.exchange(t, n)
				t.Log(p.rates(n, there, back))
			})
		}
	}
}

// Links of all sizes, down to the smallest that IPv4 hosts must take
// (RFC 9293 §3.7.1) and that IPv6 links must have (RFC 8200 §5).
func TestMTU(t *testing.T) {
	for _, mtu := range []int{576, 1280, 1500, 9000} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			r := newRig(t, options{mtu: mtu})
			n := amount(t, 8e6)
			for _, k := range r.kinds() {
				t.Run(k.String(), func(t *testing.T) {
					p := r.connect(t, k, patience(2*n))
					there, back := p.exchange(t, n)
					want := mtu - 40 - 12
					if k.v6 {
						want -= 20
					}
					info := p.tcpInfo(t)
					if got := p.ours.Info().MSS; got != want {
						t.Errorf("our segments have %d bytes, want %d", got, want)
					}
					if int(info.Snd_mss) != want || int(info.Rcv_mss) > want {
						t.Errorf("the kernel sent %d and received %d bytes in a segment, want %d", info.Snd_mss, info.Rcv_mss, want)
					}
					t.Log(p.rates(n, there, back))
				})
			}
		})
	}
}

// A hop in the middle is narrower than both ends know, and says so by ICMP
// (RFC 1191, RFC 8201).
func TestNarrowHop(t *testing.T) {
	r := newRig(t, options{})
	const mtu = 1300
	for _, dev := range []struct {
		ip  func(...string) error
		dev string
	}{{r.Client.IP, "wifi0"}, {r.Router.IP, "r-wifi0"}} {
		r.must(dev.ip("link", "set", dev.dev, "mtu", fmt.Sprint(mtu)))
	}
	n := amount(t, 8e6)
	for _, k := range r.kinds() {
		t.Run(k.String(), func(t *testing.T) {
			p := r.connect(t, k, patience(2*n))
			there, back := p.exchange(t, n)
			if got := p.ours.Info().MTU; got != mtu {
				t.Errorf("our path MTU is %d, want %d", got, mtu)
			}
			t.Log(p.rates(n, there, back))
		})
	}
}

// The same with nobody saying so: both ends have to find out by themselves
// (RFC 4821, RFC 8899). The kernel does it where it is asked to.
func TestBlackHole(t *testing.T) {
	r := newRig(t, options{plain: true})
	const mtu = 1320
	r.must(r.Server.Sysctl("net.ipv4.tcp_mtu_probing", "1"),
		// Whole packets only: the router sees what would be on a wire.
		r.Server.IP("link", "set", "eth0", "gso_max_segs", "1"),
		r.Router.NFT(fmt.Sprintf("table inet hole { chain forward { type filter hook forward priority 0; meta length > %d drop; }; }", mtu)))
	n := amount(t, 2e6)
	for _, k := range r.kinds() {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel() // most of it is waiting
			start := time.Now()
			p := r.connect(t, k, patience(2*n))
			there, back := p.exchange(t, n)
			if got := p.ours.Info().MTU; got > mtu || got < 1000 {
				t.Errorf("our path MTU is %d, want at most %d and not much less", got, mtu)
			}
			t.Logf("%s, path MTU %d, %v", p.rates(n, there, back), p.ours.Info().MTU, time.Since(start).Round(time.Millisecond))
		})
	}
}
