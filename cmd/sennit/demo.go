package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

const demoHelp = `Runs the main job on an emulated network: two stacks in this process, joined by
an emulated Wi-Fi and an emulated cellular link, and an HTTP download between
them over Multipath TCP. No root, no network, no kernel support.

  handover   in the middle of the download the Wi-Fi link disappears, and the
             download must not notice
  aggregate  both links stay, and their rates add up

Exit status 1 if the bytes that arrived are not the bytes that were sent.`

// demoOptions is what the user asked for.
type demoOptions struct {
	scenario   string
	seconds    int
	json, plot string
}

func newDemoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a download over two links on an emulated network",
		Long:  demoHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			return runDemo(ctx, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.scenario, "scenario", "handover", "handover or aggregate")
	f.IntVar(&o.seconds, "seconds", 10, "how long the server sends (2 to 600)")
	f.StringVar(&o.json, "json", "", "write the result and all samples to `FILE`")
	f.StringVar(&o.plot, "plot", "", "draw goodput per link over time into `FILE` (.svg or .png)")
	return cmd
}

func (o demoOptions) check() error {
	switch {
	case o.scenario != "handover" && o.scenario != "aggregate":
		return fmt.Errorf("no scenario %q: there are handover and aggregate", o.scenario)
	case o.seconds < 2 || o.seconds > 600:
		return fmt.Errorf("--seconds %d: want 2 to 600", o.seconds)
	}
	for _, file := range []string{o.json, o.plot} {
		if dir := filepath.Dir(file); file != "" {
			if _, err := os.Stat(dir); err != nil {
				return fmt.Errorf("cannot write %s: %w", file, err)
			}
		}
	}
	if ext := filepath.Ext(o.plot); o.plot != "" && ext != ".svg" && ext != ".png" {
		return fmt.Errorf("--plot %s: the name must end in .svg or .png", o.plot)
	}
	return nil
}

func runDemo(ctx context.Context, o demoOptions) error {
	net, err := newDemoNetwork(demoLinks(), o.scenario)
	if err != nil {
		return err
	}
	defer net.close()

	show := newDemoProgress(os.Stdout, net.links, time.Duration(o.seconds)*time.Second)
	show.intro(o)
	res, err := net.download(ctx, o, show.update)
	show.finish()
	if errors.Is(ctx.Err(), context.Canceled) {
		return &exitError{code: 130}
	}
	if err != nil {
		return &exitError{code: 1, err: fmt.Errorf("the download failed: %w", err)}
	}
	res.table(os.Stdout)
	if o.json != "" {
		if err := res.writeJSON(o.json); err != nil {
			return err
		}
	}
	if o.plot != "" {
		if err := res.draw(o.plot); err != nil {
			return err
		}
		fmt.Println("plot:", o.plot)
	}
	if !res.Intact {
		return &exitError{code: 1, err: errors.New("what arrived is not what was sent")}
	}
	return nil
}
