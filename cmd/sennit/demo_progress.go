package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// demoProgress shows a run while it goes on: one live line per link on a
// terminal, a plain line a second elsewhere.
type demoProgress struct {
	w     io.Writer
	links []demoLink
	total time.Duration

	bars *mpb.Progress // nil: plain lines
	link []*demoBar
	time *mpb.Bar

	past []demoSample // the last second, for rates
	next time.Duration
	told int // marks printed
}

// demoBar is one link's line: its bar is the rate now, of what the link can do.
type demoBar struct {
	bar   *mpb.Bar
	bytes int64
	rate  float64
}

func newDemoProgress(w *os.File, links []demoLink, total time.Duration) *demoProgress {
	p := &demoProgress{w: w, links: links, total: total, next: time.Second}
	if term.IsTerminal(int(w.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(46), mpb.WithRefreshRate(100*time.Millisecond))
	}
	return p
}

func (p *demoProgress) intro(o demoOptions) {
	var names []string
	for _, l := range p.links {
		names = append(names, fmt.Sprintf("%s %.0f Mbit/s %v", l.Name, float64(l.Rate)/1e6, l.Delay))
	}
	fmt.Fprintf(p.w, "%s: one download over %s, %d s\n\n", o.scenario, strings.Join(names, " and "), o.seconds)
	if p.bars == nil {
		return
	}
	for _, l := range p.links {
		b := &demoBar{}
		b.bar = p.bars.AddBar(l.Rate,
			mpb.PrependDecorators(decor.Name(l.Name, decor.WC{W: 6, C: decor.DindentRight})),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
				return fmt.Sprintf(" %12s %9s", mbit(b.rate), megabytes(b.bytes))
			})))
		p.link = append(p.link, b)
	}
	p.time = p.bars.AddBar(p.total.Milliseconds(),
		mpb.PrependDecorators(decor.Name("time", decor.WC{W: 6, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			return fmt.Sprintf(" %10.1f s", float64(s.Current)/1e3)
		})))
}

// update is called with each new sample and with all that happened so far.
func (p *demoProgress) update(s demoSample, marks []demoMark) {
	p.past = append(p.past, s)
	for len(p.past) > 2 && s.At-p.past[1].At >= time.Second {
		p.past = p.past[1:]
	}
	first := p.past[0]
	rates := make([]float64, len(s.Bytes))
	for i := range rates {
		rates[i] = rate(s.Bytes[i]-first.Bytes[i], s.At-first.At)
	}
	if p.bars != nil {
		p.draw(s, rates)
		return
	}
	for ; p.told < len(marks); p.told++ {
		fmt.Fprintf(p.w, "%6.1f s  %s\n", marks[p.told].At.Seconds(), marks[p.told].Text)
	}
	if s.At < p.next {
		return
	}
	p.next += time.Second
	line := fmt.Sprintf("%6.1f s", s.At.Seconds())
	for i, l := range p.links {
		line += fmt.Sprintf("  %s %12s", l.Name, mbit(rates[i]))
	}
	fmt.Fprintln(p.w, line)
}

func (p *demoProgress) draw(s demoSample, rates []float64) {
	for i, b := range p.link {
		b.bytes, b.rate = s.Bytes[i], rates[i]
		// A bar that reaches its total is finished for mpb: stay below.
		b.bar.SetCurrent(min(int64(rates[i]), p.links[i].Rate-1))
	}
	p.time.SetCurrent(min(s.At, p.total-time.Millisecond).Milliseconds())
}

func (p *demoProgress) finish() {
	if p.bars != nil {
		for _, b := range append(p.link, &demoBar{bar: p.time}) {
			b.bar.Abort(false)
		}
		p.bars.Wait()
	}
	fmt.Fprintln(p.w)
}
