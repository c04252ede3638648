// Command idle prints what a connection costs that does nothing: it opens many
// of them between two stacks in this process, over a link in memory, and looks
// at the heap. It needs no right.
//
//	go run ./bench/idle -conns 100000
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"

	"github.com/sennit-net/sennit/bench"
)

func main() {
	var o bench.IdleOptions
	flag.IntVar(&o.Conns, "conns", 100_000, "connections; both ends live in this process")
	flag.BoolVar(&o.Used, "used", false, "let each connection carry some bytes before it rests")
	flag.IntVar(&o.Rounds, "rounds", 3, "rounds of opening and closing more")
	flag.IntVar(&o.Churn, "churn", 10_000, "connections opened and closed per round")
	profile := flag.String("profile", "", "write a heap profile of the idle connections to this `file`")
	flag.Parse()
	if *profile != "" {
		o.Profile = func() {
			if err := writeProfile(*profile); err != nil {
				fmt.Fprintln(os.Stderr, "idle:", err)
			}
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := bench.MeasureIdle(ctx, o)
	if err == nil {
		_, err = r.WriteTo(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
}

func writeProfile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := pprof.Lookup("heap").WriteTo(f, 0); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
