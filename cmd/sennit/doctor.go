package main

import "github.com/spf13/cobra"

func newDoctorCommand() *cobra.Command {
	return &cobra.Command{Use: "doctor", Short: "Tell what this machine has and lacks for run", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return nil }}
}
