package main

import (
	"errors"
	"fmt"
	"image/color"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The colours are far apart for eyes of every kind.
var (
	demoInk     = color.NRGBA{0x22, 0x2b, 0x36, 0xff}
	demoFaint   = color.NRGBA{0x22, 0x2b, 0x36, 0x22}
	demoAlarm   = color.NRGBA{0xb0, 0x2a, 0x30, 0xff}
	demoPalette = []color.NRGBA{{0x3a, 0x7c, 0xa5, 0xff}, {0xf4, 0xa2, 0x59, 0xff}, {0x2a, 0x9d, 0x6f, 0xff}}
)

// plotStep is the width of one point of the plot.
const plotStep = 200 * time.Millisecond

// draw writes goodput over time, the links stacked upon each other, so that the
// upper edge is what the application gets.
func (r *demoResult) draw(name string) error {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s: %s in %.1f s, longest pause %.0f ms", r.Scenario, megabytes(r.Bytes),
		r.Elapsed.Seconds(), float64(r.Stall.Microseconds())/1e3)
	p.Title.Padding = vg.Points(10)
	p.Title.TextStyle.Font.Size = vg.Points(14)
	p.X.Label.Text = "seconds"
	p.Y.Label.Text = "goodput, Mbit/s"
	p.Y.Label.Padding = vg.Points(6)
	p.Y.Min = 0
	p.X.Min = 0
	p.BackgroundColor = color.White
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Label.TextStyle.Color, axis.Tick.Label.Color, axis.Tick.Color = demoInk, demoInk, demoInk, demoInk
		axis.Label.TextStyle.Font.Size, axis.Tick.Label.Font.Size = vg.Points(11), vg.Points(10)
		axis.LineStyle.Width = vg.Points(0.8)
		axis.Padding = 0
	}
	p.Y.Tick.Marker = tensTicker{}
	p.Legend.Top, p.Legend.Left = true, false
	p.Legend.TextStyle.Font.Size = vg.Points(11)
	p.Legend.Padding = vg.Points(4)

	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Transparent, demoFaint
	edges, rates := r.series()
	if len(edges) < 2 {
		return errors.New("too short a run to plot")
	}
	base, top := make([]float64, len(edges)-1), 0.0
	for i, l := range r.Links {
		upper := make([]float64, len(base))
		for k := range base {
			upper[k] = base[k] + rates[i][k]
			top = max(top, upper[k])
		}
		area, err := stackedArea(edges, base, upper, demoPalette[i%len(demoPalette)])
		if err != nil {
			return err
		}
		p.Add(area)
		p.Legend.Add(fmt.Sprintf("%s (%.0f Mbit/s, %d ms)", l.Name, float64(l.Rate)/1e6, l.Delay.Milliseconds()), area)
		base = upper
	}
	p.Add(grid)
	p.Y.Max = top * 1.28 // room for the legend
	p.X.Max = max(r.Elapsed.Seconds(), 0.1)
	for _, m := range r.Marks {
		if err := addMark(p, m); err != nil {
			return err
		}
	}
	return p.Save(24*vg.Centimeter, 11*vg.Centimeter, name)
}

// series returns the edges of the steps in seconds, and each link's rate
// between one edge and the next in Mbit/s.
func (r *demoResult) series() (edges []float64, rates [][]float64) {
	rates = make([][]float64, len(r.Links))
	last := demoSample{Bytes: make([]int64, len(r.Links))}
	edges = append(edges, 0)
	for _, s := range r.Samples {
		if s.At-last.At < plotStep*9/10 { // a tick may come a little early
			continue
		}
		edges = append(edges, s.At.Seconds())
		for i := range r.Links {
			rates[i] = append(rates[i], rate(s.Bytes[i]-last.Bytes[i], s.At-last.At)/1e6)
		}
		last = s
	}
	return edges, rates
}

// stackedArea fills between two step functions.
func stackedArea(edges, lower, upper []float64, c color.NRGBA) (*plotter.Polygon, error) {
	outline := make(plotter.XYs, 0, 4*len(lower))
	for k, y := range upper {
		outline = append(outline, plotter.XY{X: edges[k], Y: y}, plotter.XY{X: edges[k+1], Y: y})
	}
	for k := len(lower) - 1; k >= 0; k-- {
		outline = append(outline, plotter.XY{X: edges[k+1], Y: lower[k]}, plotter.XY{X: edges[k], Y: lower[k]})
	}
	area, err := plotter.NewPolygon(outline)
	if err != nil {
		return nil, err
	}
	area.Color = c
	area.LineStyle.Width = 0
	return area, nil
}

// addMark draws a line down the plot with its text at the top.
func addMark(p *plot.Plot, m demoMark) error {
	x := m.At.Seconds()
	line, err := plotter.NewLine(plotter.XYs{{X: x, Y: 0}, {X: x, Y: p.Y.Max}})
	if err != nil {
		return err
	}
	line.Color, line.Width = demoAlarm, vg.Points(1.2)
	line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	label, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: x, Y: p.Y.Max * 0.93}}, Labels: []string{" " + m.text()}})
	if err != nil {
		return err
	}
	label.TextStyle = []text.Style{{Color: demoAlarm, Font: p.Legend.TextStyle.Font, XAlign: draw.XLeft,
		YAlign: draw.YCenter, Handler: p.Legend.TextStyle.Handler}}
	p.Add(line, label)
	return nil
}

// tensTicker puts a labelled tick every ten units, every fifty for big numbers.
type tensTicker struct{}

// Ticks implements plot.Ticker.
func (tensTicker) Ticks(lo, hi float64) []plot.Tick {
	step := 10.0
	for (hi-lo)/step > 12 {
		step *= 5
	}
	var ticks []plot.Tick
	for v := 0.0; v <= hi; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', -1, 64)})
	}
	return ticks
}
