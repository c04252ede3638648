package tcptest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sennit-net/sennit/ecn"
	"github.com/sennit-net/sennit/stack/chunk"
	"github.com/sennit-net/sennit/stack/seq"
	"github.com/sennit-net/sennit/stack/wire"
)

// A segment in writing: flags, sequence number, +payload length, then words in
// any order:
//
//	S 0 win 65535 mss 1460 sackok ts 100/0 ws 7
//	A 1 ack 1 win 500 sack 1001-2001,3001-4001
//	PA 1+100 ack 1 opt 1e0c...
//	R 1
//
// "super 1448" notes the size of a super-segment's parts, "ce" the ECN field,
// "opt HEX" options TCP does not know. A word "no-X" in an expectation says
// that X (mss, sackok, ts, ws, sack, opt) must be absent.

// segment is a parsed notation.
type segment struct {
	flags  wire.Flags
	seq    int
	n      int
	words  map[string]string
	absent []string
	text   string
}

// off is the stream offset of the first byte: data on a SYN comes after it.
func (s segment) off() uint64 {
	if s.flags.Has(wire.SYN) {
		return uint64(int64(s.seq))
	}
	return uint64(int64(s.seq - 1))
}

const letters = "FSRPAUEWN"

func parseFlags(s string) (f wire.Flags, err error) {
	if s == "-" {
		return 0, nil
	}
	for _, r := range s {
		i := strings.IndexRune(letters, r)
		if i < 0 {
			return 0, fmt.Errorf("unknown flag %q", r)
		}
		f |= 1 << i
	}
	return f, nil
}

// single are the words without an argument.
var single = map[string]bool{"sackok": true, "ce": true, "ect0": true, "ect1": true}

func parse(text string) (segment, error) {
	s := segment{text: text, words: map[string]string{}}
	w := strings.Fields(text)
	if len(w) < 2 {
		return s, fmt.Errorf("%q: want flags and a sequence number", text)
	}
	var err error
	if s.flags, err = parseFlags(w[0]); err != nil {
		return s, fmt.Errorf("%q: %w", text, err)
	}
	pos, n, more := strings.Cut(w[1], "+")
	if s.seq, err = strconv.Atoi(pos); err == nil && more {
		s.n, err = strconv.Atoi(n)
	}
	if err != nil {
		return s, fmt.Errorf("%q: %w", text, err)
	}
	for w = w[2:]; len(w) > 0; w = w[1:] {
		switch {
		case strings.HasPrefix(w[0], "no-"):
			s.absent = append(s.absent, w[0][3:])
		case single[w[0]]:
			s.words[w[0]] = ""
		case len(w) < 2:
			return s, fmt.Errorf("%q: %s wants a value", text, w[0])
		default:
			s.words[w[0]] = w[1]
			w = w[1:]
		}
	}
	return s, nil
}

// origin is where relative sequence numbers start: ours counts what the
// segment's sender sends, theirs what it acknowledges.
type origin struct{ ours, theirs seq.Num }

// build makes the segment for the wire. content fills its payload by stream
// offset.
func (s segment) build(o origin, content func(off uint64, n int) []byte) (*wire.Segment, error) {
	seg := new(wire.Segment)
	seg.Reset()
	seg.Flags = s.flags
	seg.Seq = o.ours.Add(s.seq)
	if s.n > 0 {
		p := content(s.off(), s.n)
		seg.Payload = []chunk.Slice{chunk.Wrap(p, nil, nil).Own(0, len(p))}
	}
	for k, v := range s.words {
		if err := s.word(seg, o, k, v); err != nil {
			return nil, fmt.Errorf("%q: %s: %w", s.text, k, err)
		}
	}
	return seg, nil
}

func (s segment) word(seg *wire.Segment, o origin, k, v string) (err error) {
	num := func() int {
		var i int
		if err == nil {
			i, err = strconv.Atoi(v)
		}
		return i
	}
	switch k {
	case "ack":
		seg.Ack = o.theirs.Add(num())
	case "win":
		seg.Window = uint16(num())
	case "urg":
		seg.Urgent = uint16(num())
	case "mss":
		seg.Options.MSS = uint16(num())
	case "ws":
		seg.WindowScale = int8(num())
	case "super":
		seg.MSS = uint16(num())
	case "sackok":
		seg.SACKPermitted = true
	case "ts":
		_, err = fmt.Sscanf(v, "%d/%d", &seg.TSVal, &seg.TSEcr)
		seg.Timestamps = true
	case "sack":
		for _, b := range strings.Split(v, ",") {
			var l, r int
			if _, err = fmt.Sscanf(b, "%d-%d", &l, &r); err != nil {
				return err
			}
			seg.SACK[seg.NSACK] = wire.SACKBlock{Left: o.theirs.Add(l), Right: o.theirs.Add(r)}
			seg.NSACK++
		}
	case "opt":
		var b []byte
		if _, err = fmt.Sscanf(v, "%x", &b); err == nil {
			seg.SetOther(b)
		}
	case "ce":
		seg.ECN = ecn.CE
	case "ect0":
		seg.ECN = ecn.ECT0
	case "ect1":
		seg.ECN = ecn.ECT1
	default:
		err = fmt.Errorf("unknown word")
	}
	return err
}

// describe writes a segment in the notation.
func describe(seg *wire.Segment, o origin) string {
	w := words(seg, o)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", seg.Flags, seg.Seq.Sub(o.ours))
	if n := seg.Len(); n > 0 {
		fmt.Fprintf(&b, "+%d", n)
	}
	for _, k := range order {
		if v, ok := w[k]; ok {
			b.WriteByte(' ')
			b.WriteString(k)
			if v != "" {
				b.WriteByte(' ')
				b.WriteString(v)
			}
		}
	}
	return b.String()
}

var order = []string{"ack", "win", "urg", "super", "mss", "sackok", "ts", "ws", "sack", "opt", "ect0", "ect1", "ce"}

func words(seg *wire.Segment, o origin) map[string]string {
	w := map[string]string{"win": strconv.Itoa(int(seg.Window))}
	if seg.Flags.Has(wire.ACK) {
		w["ack"] = strconv.Itoa(seg.Ack.Sub(o.theirs))
	}
	if seg.Urgent != 0 {
		w["urg"] = strconv.Itoa(int(seg.Urgent))
	}
	if seg.MSS != 0 {
		w["super"] = strconv.Itoa(int(seg.MSS))
	}
	if seg.Options.MSS != 0 {
		w["mss"] = strconv.Itoa(int(seg.Options.MSS))
	}
	if seg.SACKPermitted {
		w["sackok"] = ""
	}
	if seg.Timestamps {
		w["ts"] = fmt.Sprintf("%d/%d", seg.TSVal, seg.TSEcr)
	}
	if seg.WindowScale >= 0 {
		w["ws"] = strconv.Itoa(int(seg.WindowScale))
	}
	if seg.NSACK > 0 {
		var b []string
		for _, r := range seg.SACK[:seg.NSACK] {
			b = append(b, fmt.Sprintf("%d-%d", r.Left.Sub(o.theirs), r.Right.Sub(o.theirs)))
		}
		w["sack"] = strings.Join(b, ",")
	}
	if b := seg.Other(); len(b) > 0 {
		w["opt"] = fmt.Sprintf("%x", b)
	}
	if seg.ECN != ecn.NotECT {
		w[[]string{"", "ect1", "ect0", "ce"}[seg.ECN]] = ""
	}
	return w
}

// matches reports how seg differs from what is expected; "" if it does not.
// Only the words that are written are compared, flags and numbers always.
func (s segment) matches(seg *wire.Segment, o origin) string {
	if seg.Flags != s.flags || seg.Seq.Sub(o.ours) != s.seq || seg.Len() != s.n {
		return "flags, sequence number or length differ"
	}
	got := words(seg, o)
	for k, v := range s.words {
		if g, ok := got[k]; !ok || g != v {
			return fmt.Sprintf("%s differs", k)
		}
	}
	for _, k := range s.absent {
		if _, ok := got[k]; ok {
			return fmt.Sprintf("%s should be absent", k)
		}
	}
	return ""
}
