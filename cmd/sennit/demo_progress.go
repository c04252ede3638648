package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
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
	time *demoBar

	past []demoSample // the last second, for rates
	next time.Duration
	told int // marks printed
}

// demoBar is one live line. A link's bar is its rate now, of what it can do.
type demoBar struct {
	bar  *mpb.Bar
	text atomic.Value // string, right of the bar
}

func (p *demoProgress) addBar(name string, total int64) *demoBar {
	b := &demoBar{}
	b.text.Store("")
	b.bar = p.bars.AddBar(total,
		mpb.PrependDecorators(decor.Name(name, decor.WC{W: 6, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.text.Load().(string) })))
	return b
}

// set moves the bar. One that reaches its total is finished for mpb: stay below.
func (b *demoBar) set(current, total int64, text string) {
	b.bar.SetCurrent(min(current, total-1))
	b.text.Store(text)
}

func newDemoProgress(w *os.File, links []demoLink, total time.Duration) *demoProgress {
	p := &demoProgress{w: w, links: links, total: total, next: time.Second}
	// A terminal of no size, as some recorders have it, shows no bars.
	if _, rows, err := term.GetSize(int(w.Fd())); err == nil && rows > len(links)+2 {
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
		p.link = append(p.link, p.addBar(l.Name, l.Rate))
	}
	p.time = p.addBar("time", p.total.Milliseconds())
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
		p.draw(s, rates, marks)
		return
	}
	for ; p.told < len(marks); p.told++ {
		fmt.Fprintf(p.w, "%6.1f s  %s\n", marks[p.told].At.Seconds(), marks[p.told].text())
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

func (p *demoProgress) draw(s demoSample, rates []float64, marks []demoMark) {
	for i, b := range p.link {
		now := mbit(rates[i])
		if slices.ContainsFunc(marks, func(m demoMark) bool { return m.Link == p.links[i].Name }) {
			now = "lost"
		}
		b.set(int64(rates[i]), p.links[i].Rate, fmt.Sprintf(" %12s %9s", now, megabytes(s.Bytes[i])))
	}
	p.time.set(s.At.Milliseconds(), p.total.Milliseconds(), fmt.Sprintf(" %10.1f s", s.At.Seconds()))
}

func (p *demoProgress) finish() {
	if p.bars != nil {
		for _, b := range append(p.link, p.time) {
			b.bar.Abort(false)
		}
		p.bars.Wait()
	}
	fmt.Fprintln(p.w)
}
