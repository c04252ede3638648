package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/sennit-net/sennit/stack/chunk"
)

// vector is one segment a Linux kernel sent.
type vector struct {
	name     string
	src, dst netip.Addr
	b        []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open("../../testdata/wire/linux.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []vector
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		w := strings.Fields(sc.Text())
		if len(w) == 0 || w[0] == "#" {
			continue
		}
		b, err := hex.DecodeString(w[4])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, vector{w[0], netip.MustParseAddr(w[2]), netip.MustParseAddr(w[3]), b})
	}
	if sc.Err() != nil || len(list) < 40 {
		t.Fatalf("%d vectors, %v", len(list), sc.Err())
	}
	return list
}

// What a Linux kernel sends is parsed, sums up, and is the same after it was
// written again.
func TestLinuxSegments(t *testing.T) {
	for i, v := range vectors(t) {
		var s, again Segment
		n, err := Parse(v.b, &s)
		if err != nil {
			t.Fatalf("%d %s: %v", i, v.name, err)
		}
		s.Payload = []chunk.Slice{chunk.Borrowed(v.b[n:])}
		if !s.ChecksumOK(v.b[:n], v.src, v.dst) {
			t.Errorf("%d %s: checksum refused: %s", i, v.name, &s)
		}
		out := s.AppendHeader(nil)
		if _, err := Parse(out, &again); err != nil || !same(&s, &again) {
			t.Errorf("%d %s: %+v came back as %+v, %v", i, v.name, s, again, err)
		}
		// The layout is Linux's own, but where alignment would cost payload.
		if _, align := s.layout(); align {
			s.SetChecksum(out, v.src, v.dst)
			if !bytes.Equal(out, v.b[:n]) {
				t.Errorf("%d %s: written as\n% x, Linux wrote\n% x", i, v.name, out, v.b[:n])
			}
		}
	}
}

// The values in some of those segments, read by hand.
func TestLinuxValues(t *testing.T) {
	list := vectors(t)
	var syn, data, sack Segment
	find := func(s *Segment, want func(*Segment) bool) []byte {
		for _, v := range list {
			if n, err := Parse(v.b, s); err == nil && want(s) {
				return v.b[n:]
			}
		}
		t.Fatal("no such segment")
		return nil
	}
	find(&syn, func(s *Segment) bool { return s.Flags.Has(SYN) })
	want := Options{MSS: 1460, WindowScale: 10, SACKPermitted: true, Timestamps: true, TSVal: 0xba4d8b41}
	want.SetOther([]byte{30, 4, 0x01, 0x01})
	if syn.Options != want || syn.Flags != SYN|ECE|CWR || syn.DstPort != 8080 || syn.Seq != 0x42cd1e3e ||
		syn.Window != 64240 {
		t.Errorf("SYN %s %+v", &syn, syn.Options)
	}
	p := find(&data, func(s *Segment) bool { return len(s.Other()) > 0 && s.Flags.Has(PSH) })
	if string(p) != "GET /" || data.Seq != 0x42cd1e3f || data.Ack != 0xce1715c3 || data.Other()[2] != 0x01 {
		t.Errorf("data %s: %q, % x", &data, p, data.Other())
	}
	find(&sack, func(s *Segment) bool { return s.NSACK == 2 })
	if sack.SACK[0] != (SACKBlock{0x79097674, 0x79097c08}) || sack.SACK[1] != (SACKBlock{0x79096b4c, 0x790970e0}) ||
		sack.Ack != 0x790965b8 {
		t.Errorf("SACK %s: %v", &sack, sack.SACK)
	}
}
