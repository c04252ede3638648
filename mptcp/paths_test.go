package mptcp_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/sennit-net/sennit/mptcp"
)

// download lets the server send data to the client and calls at when the
// client has half of it. It returns how long the longest pause was.
func download(t *testing.T, c, s *mptcp.Conn, n int, at func()) time.Duration {
	t.Helper()
	want := pattern(n)
	go func() {
		s.Write(want)
		s.Close()
	}()
	var got []byte
	buf := make([]byte, 64<<10)
	var longest time.Duration
	for last := time.Now(); ; {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		longest = max(longest, time.Since(last))
		last = time.Now()
		if at != nil && len(got) >= len(want)/2 {
			at()
			at = nil
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes that differ, want %d", len(got), len(want))
	}
	c.Close()
	return longest
}

// A link that goes down in mid-transfer is not noticed by the application.
func TestLinkDown(t *testing.T) {
	for i, name := range linkNames {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, d *dual) {
				c, s := d.connect(t, serverAddr4)
				pause := download(t, c, s, 8<<20, func() {
					d.client.SetLinkState(d.ids[i], false)
					d.devs[i].SetDown(true)
					d.far[i].SetDown(true)
				})
				if pause > time.Second {
					t.Errorf("the transfer paused for %v", pause)
				}
			})
		})
	}
}

// The same with a link that is taken away, and one whose address goes.
func TestLinkRemoved(t *testing.T) {
	for name, remove := range map[string]func(*dual){
		"detached":        func(d *dual) { d.client.DetachLink(d.ids[0]) },
		"address removed": func(d *dual) { d.client.RemoveAddr(d.ids[0], clientAddrs(0)[0].Addr()) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, d *dual) {
				c, s := d.connect(t, serverAddr4)
				if pause := download(t, c, s, 8<<20, func() { remove(d) }); pause > time.Second {
					t.Errorf("the transfer paused for %v", pause)
				}
			})
		})
	}
}

// A link on which packets silently vanish is left within three seconds.
func TestSilentLink(t *testing.T) {
	for i, name := range linkNames {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, d *dual) {
				c, s := d.connect(t, serverAddr4)
				pause := download(t, c, s, 8<<20, func() {
					d.devs[i].SetDown(true)
					d.far[i].SetDown(true)
				})
				if pause > 3*time.Second {
					t.Errorf("the transfer paused for %v", pause)
				}
			})
		})
	}
}

// A link that comes, and one that comes back, get a subflow.
func TestLinkComes(t *testing.T) {
	inBubble(t, func(t *testing.T, d *dual) {
		subflows := func(c *mptcp.Conn) (n int) {
			for _, s := range c.Info().Subflows {
				if s.Established {
					n++
				}
			}
			return n
		}
		d.client.SetLinkState(d.ids[1], false)
		c, s := d.connect(t, serverAddr4)
		go io.Copy(s, s)
		ask(t, c)
		if n := subflows(c); n != 1 {
			t.Fatalf("%d subflows at first", n)
		}
		d.client.SetLinkState(d.ids[1], true)
		time.Sleep(time.Second)
		if n := subflows(c); n != 2 {
			t.Fatalf("%d subflows after cell0 came up", n)
		}
		d.client.SetLinkState(d.ids[0], false)
		time.Sleep(time.Second)
		if n := subflows(c); n != 1 {
			t.Fatalf("%d subflows after wifi0 went down", n)
		}
		// RFC 6897 §4.2: the application keeps seeing the first subflow's ends.
		if a := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); a != clientAddrs(0)[0].Addr() {
			t.Errorf("local address is %v now", a)
		}
		ask(t, c)
		d.client.SetLinkState(d.ids[0], true)
		time.Sleep(time.Second)
		if n := subflows(c); n != 2 {
			t.Fatalf("%d subflows after wifi0 came back", n)
		}
		c.Close()
		s.Close()
	})
}

// MP_JOIN finds its connection after the listener is closed, since the token
// alone decides (RFC 8684 §3.2).
func TestJoinWithoutListener(t *testing.T) {
	inBubble(t, func(t *testing.T, d *dual) {
		c, s := d.connect(t, serverAddr4) // connect closes the listener
		go io.Copy(s, s)
		ask(t, c)
		time.Sleep(time.Second)
		if n := len(c.Info().Subflows); n != 2 {
			t.Errorf("%d subflows, want 2", n)
		}
		if n := d.server.Counters().ResetsSent.Load(); n != 0 {
			t.Errorf("%d resets sent", n)
		}
		c.Close()
		s.Close()
	})
}

// RFC 8684 §3.1, flag C: nobody joins the address and port of a listener that
// does not want it.
func TestDenyJoin(t *testing.T) {
	inBubble(t, func(t *testing.T, d *dual) {
		echo(t, mptcp.ListenConfig{Stack: d.server, DenyJoin: true}, "10.2.0.1:80")
		dialer := mptcp.Dialer{Stack: d.client}
		c, err := dialer.Dial("tcp", "10.2.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		ask(t, c)
		time.Sleep(time.Second)
		if i := c.(*mptcp.Conn).Info(); !i.Confirmed || len(i.Subflows) != 1 {
			t.Errorf("%d subflows, %+v", len(i.Subflows), i)
		}
		c.Close()
	})
}
