package wire

import (
	"testing"
)

// FuzzParse: no input panics, and what parses comes back equal after it was
// written again.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.b)
	}
	for _, c := range options {
		f.Add(header(join(c.fields), kindNOP))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Segment
		n, err := Parse(b, &s)
		if err != nil {
			return
		}
		if n < MinHeader || n > MinHeader+MaxOptions || n > len(b) {
			t.Fatalf("a header of %d bytes out of %d", n, len(b))
		}
		for o := s.Other(); len(o) > 0; {
			_, _, rest, ok := NextOption(o)
			if !ok {
				t.Fatalf("unknown options kept malformed: % x", s.Other())
			}
			o = rest
		}
		out := s.AppendHeader(nil)
		// It may have grown: NOPs align what came without them.
		if len(out) != s.HeaderLen() || len(out) > MinHeader+MaxOptions {
			t.Fatalf("%d bytes were written as %d, announced as %d", n, len(out), s.HeaderLen())
		}
		var again Segment
		m, err := Parse(out, &again)
		if err != nil || m != len(out) || !same(&s, &again) {
			t.Fatalf("%+v came back as %+v, %v", s, again, err)
		}
	})
}
