package tcpinterop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-net/sennit/bench/lab"
)

// bothWays runs f for each way to connect, and with either end as the one that
// acts.
func bothWays(t *testing.T, r *rig, limit time.Duration, f func(t *testing.T, p *pair, we bool, act, other duplex)) {
	for _, k := range r.kinds() {
		for _, we := range []bool{true, false} {
			name := "/the kernel acts"
			if we {
				name = "/we act"
			}
			t.Run(k.String()+name, func(t *testing.T) {
				t.Parallel()
				p := r.connect(t, k, limit)
				if we {
					f(t, p, we, p.ours, p.kernel)
				} else {
					f(t, p, we, p.kernel, p.ours)
				}
			})
		}
	}
}

// A direction that is closed leaves the other one open for as long as it is
// used (RFC 9293 §3.6).
func TestHalfClose(t *testing.T) {
	r := newRig(t, options{})
	bothWays(t, r, patience(0), func(t *testing.T, _ *pair, _ bool, act, other duplex) {
		if err := act.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := other.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("read %d, %v; want EOF", n, err)
		}
		const n = 1e6
		done := make(chan error, 1)
		go func() { done <- receive(act, n) }()
		time.Sleep(200 * time.Millisecond) // half closed for a while, with nothing under way
		if err := send(other, n); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := act.Write([]byte("x")); err == nil {
			t.Error("a closed direction can be written")
		}
	})
}

// A RST reaches the other end's reader and writer as ECONNRESET, sent by
// SO_LINGER 0, or because data was left unread at close (RFC 9293 §3.6.1).
func TestReset(t *testing.T) {
	r := newRig(t, options{})
	t.Run("linger 0", func(t *testing.T) {
		bothWays(t, r, patience(0), func(t *testing.T, _ *pair, _ bool, act, other duplex) {
			greet(t, act, other)
			if err := errors.Join(act.SetLinger(0), act.Close()); err != nil {
				t.Fatal(err)
			}
			wantReset(t, other)
		})
	})
	t.Run("data left unread", func(t *testing.T) {
		bothWays(t, r, patience(0), func(t *testing.T, _ *pair, _ bool, act, other duplex) {
			greet(t, act, other)
			if _, err := other.Write([]byte("never read")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) // until it arrived
			if err := act.Close(); err != nil {
				t.Fatal(err)
			}
			wantReset(t, other)
		})
	})
	t.Run("data after close", func(t *testing.T) {
		bothWays(t, r, patience(0), func(t *testing.T, _ *pair, _ bool, act, other duplex) {
			greet(t, act, other)
			if err := act.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := other.Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("%v, want EOF", err)
			}
			if _, err := other.Write([]byte("nobody reads this")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) // for the RST
			_, err := other.Write([]byte("nor this"))
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("write after the RST: %v", err)
			}
		})
	})
}

// greet sees to it that both ends are established.
func greet(t *testing.T, a, b duplex) {
	t.Helper()
	for _, c := range [][2]duplex{{a, b}, {b, a}} {
		buf := make([]byte, 5)
		if _, err := c[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c[1], buf); err != nil || string(buf) != "hello" {
			t.Fatalf("%q, %v", buf, err)
		}
	}
}

func wantReset(t *testing.T, c duplex) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want ECONNRESET", err)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("a connection that was reset can be written")
	}
}

// Nobody listens: a RST, and ECONNREFUSED at once (RFC 9293 §3.10.7.1, §3.10.7.3).
func TestRefused(t *testing.T) {
	r := newRig(t, options{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, v6 := range []bool{false, true} {
		ours, kernel := r.addresses(v6)
		if _, err := r.stack.DialTCP(ctx, netip.AddrPort{}, netip.AddrPortFrom(kernel, 9)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("we dial %v: %v, want ECONNREFUSED", kernel, err)
		}
		if _, err := r.dialKernel(ctx, netip.AddrPortFrom(ours, 9)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the kernel dials %v: %v, want ECONNREFUSED", ours, err)
		}
	}
}

// A reader that rests closes the window; the connection survives it on probes
// and goes on at once (RFC 9293 §3.8.6.1). SENNIT_INTEROP_LONG makes it 30 s.
func TestZeroWindow(t *testing.T) {
	rest := 2 * time.Second
	if os.Getenv("SENNIT_INTEROP_LONG") != "" {
		rest = 30 * time.Second
	}
	r := newRig(t, options{})
	const n = 64e6 // more than all buffers take
	bothWays(t, r, patience(n)+rest, func(t *testing.T, p *pair, we bool, act, other duplex) {
		if k, ok := other.(*net.TCPConn); ok {
			if err := k.SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error, 1)
		go func() { done <- send(act, n) }()
		time.Sleep(rest)
		select {
		case err := <-done:
			t.Fatalf("%d bytes were sent to nobody, %v", int(n), err)
		default:
		}
		info := p.ours.Info()
		if we && info.SndWnd >= info.MSS || !we && info.RcvWnd >= info.MSS {
			t.Errorf("the window is not closed: %+v", info)
		}
		start := time.Now()
		if err := receive(other, n); err != nil {
			t.Fatalf("%v%s", err, p.describe())
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		t.Logf("closed for %v, then %d bytes in %v", rest, int(n), time.Since(start).Round(time.Millisecond))
	})
}

// Bytes written one by one arrive in order, coalesced by Nagle's algorithm
// (RFC 9293 §3.7.4) or not.
func TestOneByteWrites(t *testing.T) {
	r := newRig(t, options{})
	content, err := io.ReadAll(lab.Content(3000))
	r.must(err)
	for _, delay := range []bool{false, true} {
		name := "no delay"
		if delay {
			name = "Nagle"
		}
		t.Run(name, func(t *testing.T) {
			bothWays(t, r, patience(0), func(t *testing.T, _ *pair, _ bool, act, other duplex) {
				if err := act.SetNoDelay(!delay); err != nil {
					t.Fatal(err)
				}
				go func() {
					for i := range content {
						if _, err := act.Write(content[i : i+1]); err != nil {
							t.Errorf("byte %d: %v", i, err)
							break
						}
					}
					_ = act.CloseWrite() // the reader sees the count
				}()
				got, err := io.ReadAll(other)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes, %v; want %d", len(got), err, len(content))
				}
			})
		})
	}
}
