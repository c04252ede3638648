package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/pprof"
	"time"
)

// subject is one way to reach the peer.
type subject struct {
	name string
	dial dialer
}

// CompareOffload moves bulk data between the kernel's TCP in a network
// namespace and, in turn, the kernel's TCP over a veth pair, gVisor's TCP over
// our link, and Sennit. It needs root and Linux.
func CompareOffload(o OffloadOptions) (*Report, error) {
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Duration == 0 {
		o.Duration = 2 * time.Second
	}
	t, err := newTopology(2, o.Plain)
	if err != nil {
		return nil, err
	}
	defer t.close()
	g, err := newGVisorTCP(t.tuns[0], tunClient[0])
	if err != nil {
		return nil, err
	}
	defer g.Close()
	s, err := newSennitTCP(t.tuns[1], tunClient[1])
	if err != nil {
		return nil, err
	}
	defer s.Close()
	to := func(i int) netip.AddrPort { return netip.AddrPortFrom(tunPeer[i].Addr(), t.peer.port) }
	subjects := []subject{
		{kernelVeth, t.dialKernel},
		{gvisorTUN, func(ctx context.Context) (net.Conn, error) { return g.dial(ctx, to(0)) }},
		{sennitTUN, func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, to(1)) }},
	}
	return rounds(o, subjects)
}

// rounds measures every subject once a round, in both directions.
func rounds(o OffloadOptions, subjects []subject) (*Report, error) {
	profile, err := newProfiler(o)
	if err != nil {
		return nil, err
	}
	defer profile.close()
	r := &Report{Baseline: kernelVeth}
	for round := range o.Rounds {
		for _, dir := range []Direction{Receive, Send} {
			for _, s := range subjects {
				if o.Only != "" && o.Only != s.name {
					continue
				}
				stop := profile.start(s.name, dir)
				sample, err := transfer(s.dial, dir, o.Duration)
				stop()
				if err != nil {
					return r, fmt.Errorf("bench: %s, %s: %w", s.name, dir, err)
				}
				sample.Subject, sample.Direction, sample.Round = s.name, dir, round
				r.Samples = append(r.Samples, sample)
				if o.Progress != nil {
					o.Progress(sample)
				}
			}
		}
	}
	return r, nil
}

// profiler takes the CPU profile of the first transfer that fits.
type profiler struct {
	o    OffloadOptions
	file *os.File
	done bool
}

func newProfiler(o OffloadOptions) (*profiler, error) {
	p := &profiler{o: o, done: o.Profile == ""}
	if p.done {
		return p, nil
	}
	var err error
	p.file, err = os.Create(o.Profile)
	return p, err
}

func (p *profiler) start(subject string, d Direction) (stop func()) {
	if p.done || subject != p.o.Subject || d != p.o.Direction {
		return func() {}
	}
	p.done = true
	if pprof.StartCPUProfile(p.file) != nil {
		return func() {}
	}
	return pprof.StopCPUProfile
}

func (p *profiler) close() {
	if p.file != nil {
		_ = p.file.Close()
	}
}
