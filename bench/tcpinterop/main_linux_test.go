package tcpinterop

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain lets the parallel tests, which mostly wait, wait together.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
