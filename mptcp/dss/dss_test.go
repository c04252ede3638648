package dss

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
)

// ledger counts the chunks that are out, so that a test sees a leak.
type ledger struct{ out int }

// run wraps p as a run whose release is counted.
func (l *ledger) run(p []byte) chunk.Slice {
	l.out++
	return chunk.Wrap(p, nil, func(*chunk.Chunk) { l.out-- }).Own(0, len(p))
}

// runs cuts p at the given lengths; the last run takes what is left.
func (l *ledger) runs(p []byte, cuts ...int) (all []chunk.Slice) {
	for _, n := range cuts {
		if n <= 0 || n >= len(p) {
			continue
		}
		all = append(all, l.run(p[:n:n]))
		p = p[n:]
	}
	return append(all, l.run(p))
}

func bytesOf(runs []chunk.Slice) (b []byte) {
	for _, r := range runs {
		b = append(b, r.B...)
	}
	return b
}

// RFC 8684 §3.3.1: the checksum over pseudo-header and data.
func TestChecksumVectors(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "mptcp", "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		dsn, _ := strconv.ParseUint(f[0], 16, 64)
		ssn, _ := strconv.ParseUint(f[1], 16, 32)
		length, _ := strconv.Atoi(f[2])
		data, _ := hex.DecodeString(strings.TrimPrefix(f[3], "-"))
		want, _ := strconv.ParseUint(f[4], 16, 16)
		c := NewChecksum(seq.Data(dsn), uint32(ssn), length)
		c.Add(data)
		if c.Value() != uint16(want) || !c.OK(uint16(want)) || c.OK(uint16(want)+1) {
			t.Errorf("%s: %04x", strings.TrimSpace(line), c.Value())
		}
		// RFC 8684 §3.3.1: the mapping may arrive in any cut, odd ones included.
		for i := range data {
			for j := i; j < len(data); j++ {
				c := NewChecksum(seq.Data(dsn), uint32(ssn), length)
				c.AddRuns([]chunk.Slice{chunk.Borrowed(data[:i]), chunk.Borrowed(data[i:j]), chunk.Borrowed(data[j:])})
				if c.Value() != uint16(want) {
					t.Fatalf("%s cut at %d and %d: %04x", f[3], i, j, c.Value())
				}
			}
		}
	}
}

// RFC 8684 §3.3.3: a DATA_FIN alone is checked over the pseudo-header, and with
// data it counts in the length.
func TestChecksumFin(t *testing.T) {
	if got := SumFin(0x1122334455667790); got != 0xeea1 {
		t.Errorf("DATA_FIN alone: %04x", got)
	}
	m := Mapping{DSN: 80, Len: 10, Fin: true}
	if got := Sum(m, []chunk.Slice{chunk.Borrowed([]byte("0123456789"))}); got != 0xfa99 {
		t.Errorf("DATA_FIN with data: %04x", got)
	}
	if m.DataLen() != 11 || m.SSN() != 1 || m.End() != 10 {
		t.Error("RFC 8684 §3.3.3: DSN 80, length 11 maps 10 bytes")
	}
}

// RFC 8684 §3.3.1: 32-bit numbers stand for the nearest 64-bit ones, and old
// ones from before a wrap do not move the upper half.
func TestExpand(t *testing.T) {
	for _, c := range []struct {
		expected seq.Data
		low      uint32
		want     seq.Data
	}{
		{0x1_00000010, 0xfffffff0, 0x0_fffffff0},
		{0x1_00000010, 0x00000020, 0x1_00000020},
		{0x0_ffffff00, 0x00000010, 0x1_00000010},
		{0xffffffff_ffffff00, 0x10, 0x10},
		{0x10, 0xffffff00, 0xffffffff_ffffff00},
	} {
		if got := seq.Expand(c.expected, c.low); got != c.want {
			t.Errorf("%x near %x: %x, want %x", c.low, uint64(c.expected), uint64(got), uint64(c.want))
		}
	}
}

// RFC 8684 §3.3.1: the first byte of a subflow has relative number 1.
func TestFromSSN(t *testing.T) {
	for _, c := range []struct {
		expected uint64
		ssn      uint32
		off      uint64
		ok       bool
	}{
		{0, 1, 0, true},
		{0, 0, 0, false}, // the SYN
		{500, 1, 0, true},
		{0, 70000, 69999, true},
		{1 << 32, 0, 1<<32 - 1, true},
		{1<<32 - 1, 1, 1 << 32, true},
		{1<<32 + 5, 0xffffffff, 1<<32 - 2, true},
		{0, 0xfffffff0, 0, false},
	} {
		off, ok := FromSSN(c.expected, c.ssn)
		if ok != c.ok || ok && off != c.off {
			t.Errorf("SSN %d near %d: %d %v, want %d %v", c.ssn, c.expected, off, ok, c.off, c.ok)
		}
		if ok && (Mapping{Off: off}).SSN() != c.ssn {
			t.Errorf("offset %d has SSN %d", off, (Mapping{Off: off}).SSN())
		}
	}
}
