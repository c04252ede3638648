package wire

import "testing"

// combinations yields segments with every set of options that fits.
func combinations(f func(s *Segment)) {
	for bits := range 1 << 6 {
		var s Segment
		s.Reset()
		has := func(i int) bool { return bits>>i&1 == 1 }
		if has(0) {
			s.Options.MSS = 1460
		}
		if has(1) {
			s.WindowScale = 7
		}
		s.SACKPermitted, s.Timestamps = has(2), has(3)
		if has(4) {
			s.NSACK, s.SACK[0] = 1, SACKBlock{1, 2}
		}
		if has(5) {
			s.SetOther([]byte{30, 3, 7})
		}
		if s.HeaderLen() <= MinHeader+MaxOptions {
			f(&s)
		}
	}
}

// RFC 9293 §3.1 (MUST-69): behind the end of the option list there would have
// to be zeros. No list is ended before the data offset: NOPs fill it up.
func TestHeaderPadding(t *testing.T) {
	n := 0
	combinations(func(s *Segment) {
		n++
		b := s.AppendHeader(nil)
		if len(b)%4 != 0 || int(b[12]>>4)*4 != len(b) {
			t.Fatalf("% x: %d bytes, data offset %d", b, len(b), b[12]>>4)
		}
		ended := false
		for o := b[MinHeader:]; len(o) > 0; {
			switch {
			case ended && o[0] != 0:
				t.Fatalf("% x: something stands behind the end of the list", b)
			case ended || o[0] == kindNOP:
				o = o[1:]
			case o[0] == kindEOL:
				ended = true
			case len(o) < 2 || o[1] < 2 || int(o[1]) > len(o):
				t.Fatalf("% x: an option leads beyond the header", b)
			default:
				o = o[o[1]:]
			}
		}
	})
	if n < 40 {
		t.Errorf("%d combinations", n)
	}
}

// RFC 9293 §3.2 (MUST-64): options are read wherever they begin.
func TestOptionAlignment(t *testing.T) {
	for _, c := range options {
		b := join(c.fields)
		for shift := 0; shift < 4 && shift+len(b) <= MaxOptions; shift++ {
			want := Options{WindowScale: -1}
			c.set(&want)
			list := append([]byte{kindNOP, kindNOP, kindNOP}[:shift], b...)
			for len(list)%4 != 0 {
				list = append(list, kindEOL)
			}
			if got, err := parseOptionsOf(list); err != nil || got != want {
				t.Errorf("%s behind %d NOPs: %+v, %v", c.name, shift, got, err)
			}
		}
	}
}

// RFC 9293 §3.1 (MUST-6, MUST-68): each kind but 0 and 1 has a length, by which
// it is skipped; what comes behind it is read.
func TestEveryKindIsSkipped(t *testing.T) {
	for kind := 2; kind < 256; kind++ {
		if kind == kindMSS {
			continue
		}
		for _, length := range []byte{2, 3, 6, 7} {
			list := append([]byte{byte(kind), length}, make([]byte, length-2)...)
			list = append(list, kindMSS, 4, 5, 180)
			got, err := parseOptionsOf(list)
			if err != nil || got.MSS != 1460 {
				t.Errorf("kind %d of length %d hides the MSS behind it: %+v, %v", kind, length, got, err)
			}
		}
	}
	for _, kind := range []byte{kindEOL, kindNOP} { // no length octet
		got, err := parseOptionsOf([]byte{kindMSS, 4, 5, 180, kind, 0, 0, 0})
		if err != nil || got.MSS != 1460 {
			t.Errorf("kind %d: %+v, %v", kind, got, err)
		}
	}
}
