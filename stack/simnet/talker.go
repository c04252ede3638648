package simnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sennit-net/sennit/stack/mono"
	"github.com/sennit-net/sennit/stack/tcp"
)

// Pattern is an endless byte stream in which every place looks different: the
// number names it.
type Pattern uint64

// Fill writes the bytes of the stream from offset off on into b.
func (s Pattern) Fill(b []byte, off int) {
	for off%8 == 0 && len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, s.word(off))
		b, off = b[8:], off+8
	}
	var w [8]byte
	for len(b) > 0 {
		binary.LittleEndian.PutUint64(w[:], s.word(off))
		n := copy(b, w[off%8:])
		b, off = b[n:], off+n
	}
}

func (s Pattern) word(off int) uint64 { return mix(uint64(s) ^ uint64(off/8)*0x9e3779b97f4a7c15) }

// mix is the finalizer of the splitmix64 generator.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Talker is an application on a byte stream: it writes Send bytes of Out,
// closes its direction, and checks that what it reads is In, in order, once.
type Talker struct {
	App     tcp.App
	Out, In Pattern
	Send    int // bytes to write
	// KeepOpen leaves the direction open after Send bytes.
	KeepOpen bool
	// Pause, if set and true, keeps the talker from reading for now.
	Pause func(now mono.Time) bool
	// Most bounds how many bytes one Write is given; 0: 64 KiB.
	Most int

	Wrote, Got int
	Shut       bool
	EOF        bool  // the peer's end was read
	Err        error // of a Read or Write, or what was wrong with the bytes
	buf, want  []byte
	out        []byte // filled and not yet written
	space      []byte // what out lies in
}

// Step reads and writes what is possible. It reports whether it did anything.
func (k *Talker) Step(now mono.Time) bool {
	if k.buf == nil {
		k.buf, k.want, k.space = make([]byte, 64<<10), make([]byte, 64<<10), make([]byte, 64<<10)
	}
	r, w := k.read(now), k.write(now)
	return r || w
}

// Done reports whether both directions ended as they should, or one failed.
func (k *Talker) Done() bool { return k.Err != nil || k.Shut && k.EOF }

func (k *Talker) read(now mono.Time) (did bool) {
	for k.Err == nil && !k.EOF && (k.Pause == nil || !k.Pause(now)) {
		n, err := k.App.Read(now, k.buf)
		if n > 0 {
			did = true
			k.In.Fill(k.want[:n], k.Got)
			if !bytes.Equal(k.buf[:n], k.want[:n]) {
				k.Err = k.mismatch(n)
				return
			}
			k.Got += n
		}
		switch {
		case errors.Is(err, io.EOF):
			k.EOF, did = true, true
		case errors.Is(err, tcp.ErrWouldBlock) || err == nil && n == 0:
			return
		case err != nil:
			k.Err = fmt.Errorf("read after %d bytes: %w", k.Got, err)
		}
	}
	return
}

func (k *Talker) mismatch(n int) error {
	for i := range n {
		if k.buf[i] != k.want[i] {
			return fmt.Errorf("byte %d is %#x, want %#x", k.Got+i, k.buf[i], k.want[i])
		}
	}
	return nil
}

func (k *Talker) write(now mono.Time) (did bool) {
	for k.Err == nil && k.Wrote < k.Send {
		if len(k.out) == 0 {
			most := len(k.space)
			if k.Most > 0 {
				most = min(most, k.Most)
			}
			k.out = k.space[:min(most, k.Send-k.Wrote)]
			k.Out.Fill(k.out, k.Wrote)
		}
		n, err := k.App.Write(now, k.out)
		k.out = k.out[n:]
		k.Wrote += n
		did = did || n > 0
		if errors.Is(err, tcp.ErrWouldBlock) {
			return
		}
		if err != nil {
			k.Err = fmt.Errorf("write after %d bytes: %w", k.Wrote, err)
			return
		}
		if n == 0 {
			k.Err = fmt.Errorf("write after %d bytes: nothing written, no error", k.Wrote)
			return
		}
	}
	if k.Err == nil && !k.Shut && !k.KeepOpen && k.App.Ready().Has(tcp.Opened) {
		k.App.Shutdown(now, tcp.CloseWriting)
		k.Shut, did = true, true
	}
	return
}
