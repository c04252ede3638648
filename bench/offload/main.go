// Command offload prints how fast, and at what cost in processor time, bulk
// data moves through Sennit's TUN offload path, beside the kernel's TCP over a
// veth pair and gVisor's TCP over the same link. It needs Linux and root, and
// leaves nothing behind:
//
//	go build -o /tmp/offload ./bench/offload && sudo /tmp/offload
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/sennit-net/sennit/bench"
)

func main() {
	bench.RunPeer()
	var o bench.OffloadOptions
	flag.IntVar(&o.Rounds, "rounds", 5, "interleaved rounds")
	flag.DurationVar(&o.Duration, "duration", 2*time.Second, "of each transfer")
	flag.BoolVar(&o.Plain, "plain", false, "TUN devices without offload")
	flag.StringVar(&o.Only, "only", "", "measure this subject only")
	flag.StringVar(&o.Profile, "profile", "", "write a CPU profile of one transfer to this `file`")
	flag.StringVar(&o.Subject, "profile-subject", "sennit/tun", "whose transfer to profile")
	flag.StringVar((*string)(&o.Direction), "profile-direction", string(bench.Receive), "receive or send")
	flag.Parse()
	o.Progress = func(s bench.Sample) {
		fmt.Fprintf(os.Stderr, "round %d  %-8s %-12s %6.2f Gbit/s  %6.2f Gbit per CPU second\n",
			s.Round+1, s.Direction, s.Subject, s.Gbps(), s.GbitPerCPUSecond())
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "offload:", err)
		os.Exit(1)
	}
}

func run(o bench.OffloadOptions) error {
	r, err := bench.CompareOffload(o)
	if err != nil {
		return err
	}
	return r.WriteTable(os.Stdout)
}
