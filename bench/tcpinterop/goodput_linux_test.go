package tcpinterop

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The same amount over the same path, by us and by the kernel, to the same
// kernel: from dialing to the last byte, in both directions, in turn. Our share
// of the kernel's goodput is printed; with SENNIT_INTEROP_LONG, on a machine that
// is not busy with other things, it must be 95 % (median of three).
func TestGoodputLikeTheKernel(t *testing.T) {
	long := os.Getenv("SENNIT_INTEROP_LONG") != ""
	rounds, seconds := 1, 1.0
	paths := []path{{rate: 50e6, delay: 10 * time.Millisecond}}
	if long {
		rounds, seconds = 3, 6
		paths = []path{
			{rate: 20e6, delay: 5 * time.Millisecond},
			{rate: 100e6, delay: 10 * time.Millisecond},
			{rate: 50e6, delay: 50 * time.Millisecond},
			{rate: 100e6, delay: 50 * time.Millisecond},
			{rate: 50e6, delay: 10 * time.Millisecond, loss: 0.001},
		}
	}
	r := newRig(t, options{})
	y := newRelay(t, r)
	for _, p := range paths {
		t.Run(p.String(), func(t *testing.T) {
			p.queue = max(int64(float64(p.rate)/8*2*p.delay.Seconds()), 50e3)
			y.path.Store(&p)
			n := int64(float64(p.rate) / 8 * seconds)
			limit := patience(n) + 20*time.Second*time.Duration(seconds)
			var up, down [2][]float64 // Mbit/s: ours, the kernel's
			for range rounds {
				for who, dial := range []func(context.Context, netip.AddrPort) (net.Conn, error){r.dialOurs, r.dialClient} {
					u, d := r.measure(t, dial, n, limit)
					up[who], down[who] = append(up[who], u), append(down[who], d)
				}
			}
			for _, dir := range []struct {
				name string
				got  [2][]float64
			}{{"sending", up}, {"receiving", down}} {
				ours, kernel := median(dir.got[0]), median(dir.got[1])
				share := 100 * ours / kernel
				t.Logf("%s: ours %.1f, the kernel's %.1f Mbit/s: %.1f %% %v", dir.name, ours, kernel, share, dir.got)
				if long && share < 95 {
					t.Errorf("%s: %.1f %% of the kernel's goodput", dir.name, share)
				}
			}
		})
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func (r *rig) dialOurs(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := r.stack.DialTCP(ctx, netip.AddrPort{}, to)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dialClient connects with the TCP of the client's kernel.
func (r *rig) dialClient(ctx context.Context, to netip.AddrPort) (c net.Conn, err error) {
	d := net.Dialer{}
	d.SetMultipathTCP(false)
	err = r.Client.Do(func() error {
		c, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
	return c, err
}

// cubic gives a connection of the kernel the controller that ours have, so that
// it is not the controllers that are compared.
func cubic(t *testing.T, c net.Conn) {
	k, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := k.SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
	}); e != nil || err != nil {
		t.Errorf("the kernel does not let us choose CUBIC: %v %v", e, err)
	}
}

// measure moves n bytes up on one connection and n down on another, and returns
// the goodput of each in Mbit/s.
func (r *rig) measure(t *testing.T, dial func(context.Context, netip.AddrPort) (net.Conn, error), n int64, limit time.Duration) (up, down float64) {
	t.Helper()
	one := func(upwards bool) float64 {
		l, err := r.Server.Listen("tcp", netip.AddrPortFrom(r.Eth0.Addr4, 0), false)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		done := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				done <- err
				return
			}
			defer c.Close()
			cubic(t, c)
			if err = c.SetDeadline(time.Now().Add(limit)); err == nil {
				if upwards {
					err = receive(c.(duplex), n)
				} else {
					err = send(c.(duplex), n)
				}
			}
			done <- err
		}()
		start := time.Now()
		c, err := dial(ctx, l.Addr().(*net.TCPAddr).AddrPort())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		cubic(t, c)
		if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		if upwards {
			err = send(c.(duplex), n)
		} else {
			err = receive(c.(duplex), n)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return float64(n) * 8 / time.Since(start).Seconds() / 1e6
	}
	return one(true), one(false)
}
