// Command sennit carries applications over several links at once with
// Multipath TCP, in user space.
//
// It owns flags, wiring and what the user sees; no protocol rule lives here.
// `run` wraps an unmodified command, `demo` shows the main job on an emulated
// network, `doctor` tells what the machine has and lacks.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// exitOwn is the status for failures of sennit itself, as env(1) and nohup(1)
// have it: 126 and 127 belong to the command that is run.
const exitOwn = 125

// exitError ends the process with a status. err is what main prints; nil: the
// user has been told, or there is nothing to tell.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func main() {
	if childRequested() {
		childMain() // does not return
	}
	os.Exit(report(newRootCommand().Execute()))
}

// report prints one line for an error and returns the exit status for it.
func report(err error) int {
	if err == nil {
		return 0
	}
	var e *exitError
	if errors.As(err, &e) {
		if e.err != nil {
			fmt.Fprintln(os.Stderr, "sennit:", e.err)
		}
		return e.code
	}
	fmt.Fprintln(os.Stderr, "sennit:", err)
	return exitOwn
}

// newRootCommand makes the command tree. Each subcommand is made in a file of
// its own.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "sennit",
		Short:         "Multipath TCP in user space: one connection over several links",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(subcommands()...)
	return root
}

func subcommands() []*cobra.Command {
	return []*cobra.Command{
		newRunCommand(),
		newDemoCommand(),
		newDoctorCommand(),
		newVersionCommand(),
	}
}
