package wire

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// field is some bytes of an option and what they are.
type field struct {
	what string
	b    []byte
}

func join(fields []field) []byte {
	var b []byte
	for _, f := range fields {
		b = append(b, f.b...)
	}
	return b
}

func other(b ...byte) func(*Options) { return func(o *Options) { o.SetOther(b) } }

// options are all options this package knows, and some it does not, byte by
// byte.
var options = []struct {
	name   string
	fields []field
	set    func(*Options)
}{
	{"MSS (RFC 9293 §3.7.1)", []field{
		{"kind", []byte{2}}, {"length", []byte{4}}, {"maximum segment size", []byte{0x05, 0xb4}},
	}, func(o *Options) { o.MSS = 1460 }},
	{"window scale (RFC 7323 §2.2)", []field{
		{"kind", []byte{3}}, {"length", []byte{3}}, {"shift count", []byte{14}},
	}, func(o *Options) { o.WindowScale = 14 }},
	{"window scale of none", []field{
		{"kind", []byte{3}}, {"length", []byte{3}}, {"shift count", []byte{0}},
	}, func(o *Options) { o.WindowScale = 0 }},
	{"SACK permitted (RFC 2018 §2)", []field{
		{"kind", []byte{4}}, {"length", []byte{2}},
	}, func(o *Options) { o.SACKPermitted = true }},
	{"one SACK block (RFC 2018 §3)", []field{
		{"kind", []byte{5}}, {"length", []byte{10}},
		{"left edge", []byte{0xff, 0xff, 0xff, 0xf0}}, {"right edge", []byte{0, 0, 0, 0x10}},
	}, func(o *Options) { o.NSACK, o.SACK[0] = 1, SACKBlock{0xfffffff0, 0x10} }},
	{"four SACK blocks", []field{
		{"kind", []byte{5}}, {"length", []byte{34}},
		{"left edge", []byte{0, 0, 0, 1}}, {"right edge", []byte{0, 0, 0, 2}},
		{"left edge", []byte{0, 0, 0, 3}}, {"right edge", []byte{0, 0, 0, 4}},
		{"left edge", []byte{0, 0, 0, 5}}, {"right edge", []byte{0, 0, 0, 6}},
		{"left edge", []byte{0, 0, 0, 7}}, {"right edge", []byte{0, 0, 0, 8}},
	}, func(o *Options) { o.NSACK, o.SACK = 4, [4]SACKBlock{{1, 2}, {3, 4}, {5, 6}, {7, 8}} }},
	{"timestamps (RFC 7323 §3.2)", []field{
		{"kind", []byte{8}}, {"length", []byte{10}},
		{"TSval", []byte{0xde, 0xad, 0xbe, 0xef}}, {"TSecr", []byte{1, 2, 3, 4}},
	}, func(o *Options) { o.Timestamps, o.TSVal, o.TSEcr = true, 0xdeadbeef, 0x01020304 }},
	{"an unknown option (RFC 9293 §3.1, MUST-6)", []field{
		{"kind", []byte{30}}, {"length", []byte{4}}, {"value", []byte{0x01, 0x81}},
	}, other(30, 4, 1, 0x81)},
	{"an unknown option without a value", []field{
		{"kind", []byte{253}}, {"length", []byte{2}},
	}, other(253, 2)},
	{"an unknown option as long as the header allows", []field{
		{"kind", []byte{254}}, {"length", []byte{40}}, {"value", bytes.Repeat([]byte{7}, 38)},
	}, other(append([]byte{254, 40}, bytes.Repeat([]byte{7}, 38)...)...)},
}

// header returns a header with these options, padded as pad says in front.
func header(opts []byte, pad byte) []byte {
	for len(opts)%4 != 0 {
		opts = append([]byte{pad}, opts...)
	}
	b := make([]byte, MinHeader, MinHeader+len(opts))
	b[12] = byte(MinHeader+len(opts)) / 4 << 4
	return append(b, opts...)
}

// parseOptionsOf returns the options of a header with these bytes.
func parseOptionsOf(opts []byte) (Options, error) {
	var s Segment
	_, err := Parse(header(opts, kindNOP), &s)
	return s.Options, err
}

func TestOptions(t *testing.T) {
	for _, c := range options {
		t.Run(c.name, func(t *testing.T) {
			want := Options{WindowScale: -1}
			c.set(&want)
			b := join(c.fields)
			got, err := parseOptionsOf(b)
			if err != nil || got != want {
				t.Fatalf("parsed %+v, %v; want %+v", got, err, want)
			}
			if n := OptionLen(&want); n != (len(b)+3)&^3 {
				t.Errorf("OptionLen %d, want %d", n, (len(b)+3)&^3)
			}
			out := appendOptions(nil, &want, false)
			if !bytes.Equal(out, b) {
				t.Errorf("appended % x, want % x", out, b)
			}
		})
	}
}

// RFC 9293 §3.1 (MUST-7): an option that is cut off is an illegal length,
// wherever the cut is.
func TestOptionTruncations(t *testing.T) {
	for _, c := range options {
		b := join(c.fields)
		for k := 1; k < len(b); k++ {
			if o, err := parseOptionsOf(slices.Clone(b[:k])); !errors.Is(err, ErrOption) {
				t.Errorf("%s cut to %d bytes: %+v, %v", c.name, k, o, err)
			}
		}
	}
}

// RFC 9293 §3.1 (MUST-68): a length octet counts itself and its kind.
func TestOptionIllegalLengths(t *testing.T) {
	for kind := 2; kind < 256; kind++ {
		for _, length := range []byte{0, 1, 42, 255} {
			b := header([]byte{byte(kind), length, 0, 0}, 0)
			var s Segment
			if _, err := Parse(b, &s); !errors.Is(err, ErrOption) {
				t.Errorf("kind %d, length %d: %v", kind, length, err)
			}
		}
	}
}

// A known kind of a length that is not its own has no effect, and does not
// come out again.
func TestOptionForeignLengths(t *testing.T) {
	for _, c := range options[:7] {
		b := join(c.fields)
		for length := 2; length <= 40; length++ {
			if length == len(b) || b[0] == kindSACK && (length-2)%8 == 0 && length > 2 {
				continue
			}
			o := append([]byte{b[0], byte(length)}, make([]byte, length-2)...)
			got, err := parseOptionsOf(o)
			if err != nil || got != (Options{WindowScale: -1}) {
				t.Errorf("%s of length %d: %+v, %v", c.name, length, got, err)
			}
		}
	}
}

// RFC 9293 §3.1: options may begin anywhere, NOPs may come between, and nothing
// is read behind the end of the list (MUST-5).
func TestOptionList(t *testing.T) {
	got, err := parseOptionsOf([]byte{
		kindNOP, kindMSS, 4, 2, 24, kindNOP, kindNOP, 30, 3, 7, kindScale, 3, 200, 99, 2, kindEOL, kindMSS, 0, 3})
	want := Options{MSS: 536, WindowScale: 127}
	want.SetOther([]byte{30, 3, 7, 99, 2})
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	// Of two, the later counts.
	got, _ = parseOptionsOf([]byte{kindMSS, 4, 1, 1, kindMSS, 4, 2, 2})
	if got.MSS != 0x202 {
		t.Errorf("MSS %#x", got.MSS)
	}
}
