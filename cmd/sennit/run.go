package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// runOptions are the flags of `sennit run`.
type runOptions struct {
	links   []string // NAME[=wifi|cellular|wired]
	service string
	events  string // file for JSON lines
	pcap    string // file for pcapng
	root    bool   // keep the privileges of the caller for COMMAND
}

func newRunCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG...]",
		Short: "Run a command whose connections use all links",
		Long: `Run COMMAND in a network namespace of its own. Its TCP connections are carried by
Sennit's stack over all links at once (Multipath TCP where the server speaks it),
its UDP and ping over the best link, and it gets a resolver that works.`,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 0 || len(args) == 0 {
				return &exitError{exitOwn, errors.New("run: say what to run after --, for example: sennit run -- curl https://example.org/")}
			}
			return runCommand(o, args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.links, "link", nil, "use this interface, `NAME[=wifi|cellular|wired]`; may be repeated (default: every up interface with a default route)")
	f.StringVar(&o.service, "service", "handover", "none, handover, interactive or aggregate")
	f.StringVar(&o.events, "events", "", "write events to `FILE`, one JSON object a line")
	f.StringVar(&o.pcap, "pcap", "", "write what crosses the links to `FILE` (pcapng)")
	f.BoolVar(&o.root, "root", false, "run COMMAND as root instead of the user who called sudo")
	return cmd
}
