package tcpinterop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sennit-net/sennit/tun"
)

// path is what the relay does to each direction.
type path struct {
	rate  int64         // bits per second
	delay time.Duration // one way
	queue int64         // bytes that may wait for the line
	loss  float64
}

func (p path) String() string {
	return fmt.Sprintf("%d Mbps %v loss %.1f %%", p.rate/1e6, 2*p.delay, 100*p.loss)
}

// relay sits in the router between two TUN devices and gives the way between
// client and server a rate, a delay and loss: what the kernel's own queueing
// discipline for that does where there is one.
type relay struct {
	a, b    tun.Device
	path    atomic.Pointer[path]
	dropped atomic.Int64
}

// newRelay puts a relay into the router of the rig, IPv4 only.
func newRelay(t *testing.T, r *rig) *relay {
	t.Helper()
	y := &relay{}
	y.path.Store(&path{})
	open := func(name string) (d tun.Device) {
		r.must(r.Router.Do(func() (err error) {
			d, err = tun.Open(tun.Config{Name: name, NoOffload: true})
			return err
		}))
		return d
	}
	y.a, y.b = open("relay0"), open("relay1")
	for i, from := range []string{"r-wifi0", "r-eth0"} {
		dev, table := fmt.Sprintf("relay%d", i), fmt.Sprint(200+i)
		r.must(r.Router.IP("link", "set", dev, "txqueuelen", "10000", "up"),
			r.Router.IP("route", "add", "default", "dev", dev, "table", table),
			r.Router.IP("rule", "add", "iif", from, "lookup", table))
	}
	done := make(chan struct{}, 2)
	go func() { y.carry(y.a, y.b, 1); done <- struct{}{} }()
	go func() { y.carry(y.b, y.a, 2); done <- struct{}{} }()
	t.Cleanup(func() {
		if err := errors.Join(y.a.Close(), y.b.Close()); err != nil {
			t.Error(err)
		}
		<-done
		<-done
	})
	return y
}

// waiting is a packet on its way.
type waiting struct {
	data []byte
	at   time.Time
}

// carry moves packets in one direction until the device is closed.
func (y *relay) carry(from, to tun.Device, seed uint64) {
	line := make(chan waiting, 1<<16)
	end := make(chan struct{})
	go func() {
		defer close(end)
		for w := range line {
			time.Sleep(time.Until(w.at))
			_ = to.Write([][]byte{w.data}, tun.Meta{}) // lost, like any packet
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 0))
	var free time.Time // when the line has sent everything
	for {
		buf := make([]byte, 2048)
		var m tun.Meta
		n, err := from.Read([][]byte{buf}, &m)
		if err != nil {
			break
		}
		p, now := y.path.Load(), time.Now()
		if buf[0]>>4 != 4 || p.loss > 0 && rng.Float64() < p.loss {
			continue
		}
		if p.rate > 0 {
			if free.Before(now) {
				free = now
			}
			if int64(free.Sub(now))*p.rate/8e9 > p.queue {
				y.dropped.Add(1)
				continue
			}
			free = free.Add(time.Duration(int64(n) * 8e9 / p.rate))
			now = free
		}
		line <- waiting{buf[:n], now.Add(p.delay)}
	}
	close(line)
	<-end
}
