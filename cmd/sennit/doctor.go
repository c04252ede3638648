package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// finding is what doctor says about one thing.
type finding struct {
	Name   string  `json:"name"`
	Status verdict `json:"status"`
	Detail string  `json:"detail"`
	Advice string  `json:"advice,omitempty"` // what to do about it
}

// verdict is how a finding counts.
type verdict string

const (
	good verdict = "ok"
	note verdict = "note" // worth knowing
	warn verdict = "warn" // run works, but not as well as it could
	fail verdict = "fail" // run would fail
)

func newDoctorCommand() *cobra.Command {
	var asJSON, clean bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this machine has and lacks for run",
		Long: `Checks what ` + "`sennit run`" + ` needs: TUN devices and their offloads, capabilities,
namespaces, nftables, forwarding, and links to use. Exit status 1 if run would fail.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if clean {
				return doctorClean(cmd.OutOrStdout())
			}
			findings := examine()
			show := showTable
			if asJSON {
				show = showJSON
			}
			if err := show(cmd.OutOrStdout(), findings); err != nil {
				return err
			}
			for _, f := range findings {
				if f.Status == fail {
					return &exitError{1, nil}
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&clean, "clean", false, "take away what killed runs left behind, instead of waiting for the next run to do it")
	return cmd
}

func showTable(w io.Writer, findings []finding) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Status, f.Name, f.Detail)
		if f.Advice != "" {
			fmt.Fprintf(t, "\t\t-> %s\n", f.Advice)
		}
	}
	return t.Flush()
}

func showJSON(w io.Writer, findings []finding) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Version  string    `json:"version"`
		Findings []finding `json:"findings"`
	}{versionLine(), findings})
}
