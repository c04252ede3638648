package bench

import (
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{5, 1, 3}, Spread{1, 3, 5}},
		{[]float64{4, 1, 3, 2}, Spread{1, 2.5, 4}},
	} {
		if got := SpreadOf(c.in); got != c.want {
			t.Errorf("%v: %v, want %v", c.in, got, c.want)
		}
	}
}

// Ratios are taken within a round, and a table shows every subject.
func TestTable(t *testing.T) {
	sample := func(subject string, round int, bytes int64) Sample {
		return Sample{Subject: subject, Direction: Send, Round: round, Bytes: bytes,
			Elapsed: 2 * time.Second, CPU: time.Second}
	}
	r := Report{Baseline: "a", Samples: []Sample{
		sample("a", 0, 1e9), sample("b", 0, 5e8), sample("a", 1, 4e9), sample("b", 1, 1e9)}}
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `direction  subject  Gbit/s           CPU s/GB        Gbit per CPU s    ratio to a
send       a        4.00/10.00/16.00  0.25/0.62/1.00  8.00/20.00/32.00  1.00/1.00/1.00
send       b        2.00/3.00/4.00    1.00/1.50/2.00  4.00/6.00/8.00    0.25/0.38/0.50
`
	if got := b.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	r.Baseline = "c"
	b.Reset()
	if err := r.WriteTable(&b); err != nil || !strings.Contains(b.String(), "-") {
		t.Errorf("without a baseline: %v\n%s", err, b.String())
	}
}
