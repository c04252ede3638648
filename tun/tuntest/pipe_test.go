package tuntest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sennit-net/sennit/tun"
)

// send writes n-byte packets that start with a byte of their own.
func send(t *testing.T, d *Device, first, count, n int) {
	t.Helper()
	for i := range count {
		p := make([]byte, n)
		p[0] = byte(first + i)
		if err := d.Write([][]byte{p[:1], p[1:]}, tun.Meta{}); err != nil {
			t.Fatal(err)
		}
	}
}

// receive reads one packet and returns its first byte and its length.
func receive(t *testing.T, d *Device) (byte, int) {
	t.Helper()
	a, b := make([]byte, 128), make([]byte, tun.MaxPacket)
	var m tun.Meta
	n, err := d.Read([][]byte{a, b}, &m)
	if err != nil {
		t.Fatal(err)
	}
	return a[0], n
}

func TestPipeOrder(t *testing.T) {
	a, b := Pipe(PipeOptions{}, PipeOptions{})
	send(t, a, 10, 3, 1500)
	send(t, b, 20, 2, 40)
	for i := range 3 {
		if id, n := receive(t, b); id != byte(10+i) || n != 1500 {
			t.Errorf("packet %d at b: id %d, %d bytes", i, id, n)
		}
	}
	for i := range 2 {
		if id, n := receive(t, a); id != byte(20+i) || n != 40 {
			t.Errorf("packet %d at a: id %d, %d bytes", i, id, n)
		}
	}
	if s := a.Stats(); s.Packets != 3 || s.Bytes != 4500 || s.Delivered != 3 || s.Queued != 0 {
		t.Errorf("a's counters: %+v", s)
	}
}

// Ten packets of 1250 bytes at 1 Mbit/s take 10 ms each, and 50 ms more to
// arrive.
func TestPipeRateAndDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(PipeOptions{Rate: 1e6, Delay: 50 * time.Millisecond}, PipeOptions{})
		start := time.Now()
		send(t, a, 0, 10, 1250)
		for i := range 10 {
			receive(t, b)
			want := time.Duration(i+1)*10*time.Millisecond + 50*time.Millisecond
			if got := time.Since(start); got != want {
				t.Errorf("packet %d arrived after %v, want %v", i, got, want)
			}
		}
		// An idle link saves nothing up.
		time.Sleep(time.Second)
		start = time.Now()
		send(t, a, 0, 1, 1250)
		receive(t, b)
		if got, want := time.Since(start), 60*time.Millisecond; got != want {
			t.Errorf("after idling: %v, want %v", got, want)
		}
	})
}

func TestPipeQueueDropsTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(PipeOptions{Rate: 1e6, Queue: 5000}, PipeOptions{})
		send(t, a, 0, 10, 1000)
		if s := a.Stats(); s.Packets != 5 || s.DroppedQueue != 5 {
			t.Errorf("counters: %+v, want 5 sent, 5 dropped", s)
		}
		for i := range 5 {
			if id, _ := receive(t, b); id != byte(i) {
				t.Errorf("packet %d is %d", i, id)
			}
		}
		send(t, a, 50, 1, 1000)
		if id, _ := receive(t, b); id != 50 {
			t.Errorf("after draining came %d", id)
		}
	})
}

func TestPipeLossIsSeeded(t *testing.T) {
	run := func(seed uint64) (lost string) {
		a, b := Pipe(PipeOptions{Loss: 0.25, Seed: seed}, PipeOptions{})
		send(t, a, 0, 200, 100)
		n := a.Stats().Packets
		if n < 120 || n > 180 {
			t.Errorf("seed %d: %d of 200 packets came through a loss of 0.25", seed, n)
		}
		for range n {
			id, _ := receive(t, b)
			lost += fmt.Sprint(id, " ")
		}
		return lost
	}
	if first, again := run(1), run(1); first != again {
		t.Error("the same seed lost different packets")
	}
	if run(1) == run(2) {
		t.Error("different seeds lost the same packets")
	}
}

// Some packets are overtaken, none arrives before its time or later than Behind
// allows, none is lost, and it is the same ones each time.
func TestPipeReorders(t *testing.T) {
	run := func() (order []byte) {
		synctest.Test(t, func(t *testing.T) {
			a, b := Pipe(PipeOptions{Rate: 1e6, Delay: 5 * time.Millisecond, Reorder: 0.2, Behind: 30 * time.Millisecond, Seed: 7}, PipeOptions{})
			start := time.Now()
			send(t, a, 0, 100, 1250) // 10 ms each
			for range 100 {
				id, n := receive(t, b)
				late := time.Since(start) - time.Duration(id+1)*10*time.Millisecond - 5*time.Millisecond
				if n != 1250 || late < 0 || late > 30*time.Millisecond {
					t.Errorf("packet %d of %d bytes is %v late", id, n, late)
				}
				order = append(order, id)
			}
			if s := a.Stats(); s.Reordered < 8 || s.Reordered > 35 || s.Delivered != 100 || s.Queued != 0 {
				t.Errorf("counters: %+v", s)
			}
		})
		return order
	}
	order, sorted := run(), make([]byte, 100)
	overtaken := 0
	for i, id := range order {
		sorted[id] = id
		if i > 0 && id < order[i-1] {
			overtaken++
		}
	}
	if overtaken < 5 {
		t.Errorf("%d packets were overtaken: %v", overtaken, order)
	}
	for i, id := range sorted {
		if int(id) != i {
			t.Errorf("packet %d did not come", i)
		}
	}
	if again := run(); !bytes.Equal(order, again) {
		t.Error("the same seed reordered differently")
	}
}

func TestPipeDownSwallows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(PipeOptions{Delay: time.Second}, PipeOptions{})
		send(t, a, 0, 1, 100) // is lost on the way
		a.SetDown(true)
		send(t, a, 1, 1, 100)
		send(t, b, 1, 1, 100)
		a.SetDown(false)
		send(t, a, 2, 1, 100)
		if id, _ := receive(t, b); id != 2 {
			t.Errorf("packet %d came through a link that was down", id)
		}
		if s := a.Stats(); s.DroppedDown != 2 {
			t.Errorf("%d packets counted as swallowed, want 2", s.DroppedDown)
		}
		if s := b.Stats(); s.DroppedDown != 1 {
			t.Errorf("%d packets of b counted as swallowed, want 1", s.DroppedDown)
		}
	})
}

func TestPipeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(PipeOptions{}, PipeOptions{})
		failed := make(chan error)
		go func() {
			_, err := a.Read([][]byte{make([]byte, 100)}, new(tun.Meta))
			failed <- err
		}()
		synctest.Wait()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, os.ErrClosed) {
			t.Errorf("a waiting read got %v", err)
		}
		if err := a.Write([][]byte{{1}}, tun.Meta{}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		if err := a.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
		_ = b.Close()
	})
}

// super is a TCP super-packet over IPv4 of n bytes of payload.
func super(n int, mss uint16) ([]byte, tun.Meta) {
	p := make([]byte, 40+n)
	copy(p, []byte{0x45, 0, byte(len(p) >> 8), byte(len(p)), 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	copy(p[20:], []byte{0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0})
	for i := range n {
		p[40+i] = byte(i * 7)
	}
	return p, tun.Meta{GSO: tun.GSOTCPv4, MSS: mss, HeaderLen: 40, CsumStart: 20, CsumOffset: 16, NeedsCsum: true}
}

func TestPipeSuperPackets(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to PipeOptions
		whole    bool
	}{
		{"both offload", PipeOptions{Offload: true}, PipeOptions{Offload: true}, true},
		{"cut", PipeOptions{Offload: true, Cut: true}, PipeOptions{Offload: true}, false},
		{"plain receiver", PipeOptions{Offload: true}, PipeOptions{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := Pipe(c.from, c.to)
			p, m := super(5000, 1000)
			if err := a.Write([][]byte{p[:100], p[100:]}, m); err != nil {
				t.Fatal(err)
			}
			var payload []byte
			count := 0
			for len(payload) < 5000 {
				buf := make([]byte, tun.MaxPacket)
				var got tun.Meta
				n, err := b.Read([][]byte{buf}, &got)
				if err != nil {
					t.Fatal(err)
				}
				if want := (map[bool]tun.Meta{true: m, false: {}})[c.whole]; got != want {
					t.Errorf("metadata %+v, want %+v", got, want)
				}
				payload = append(payload, buf[40:n]...)
				count++
			}
			if want := (map[bool]int{true: 1, false: 5})[c.whole]; count != want {
				t.Errorf("%d packets, want %d", count, want)
			}
			if !bytes.Equal(payload, p[40:]) {
				t.Error("payload differs")
			}
		})
	}
	d, _ := Pipe(PipeOptions{}, PipeOptions{})
	p, m := super(5000, 1000)
	if err := d.Write([][]byte{p}, m); !errors.Is(err, tun.ErrBadPacket) {
		t.Errorf("a plain device took a super-packet: %v", err)
	}
}
