//go:build linux

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Counters are a namespace's network counters by name, as nstat prints them:
// MPTcpExtMPCapableSYNRX, TcpExtTCPTimeouts, ...
type Counters map[string]int64

// Counters reads the counters of the namespace since it was made.
func (h *Host) Counters() (Counters, error) {
	c := Counters{}
	err := h.Do(func() error {
		for _, file := range []string{"netstat", "snmp"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			if err := c.parse(string(text)); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		return nil
	})
	return c, err
}

// parse reads pairs of lines: "Group: name name ..." and "Group: value value ...".
func (c Counters) parse(text string) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) == 0 || len(names) != len(values) || names[0] != values[0] {
			return fmt.Errorf("lines %d and %d do not belong together", i+1, i+2)
		}
		group := strings.TrimSuffix(names[0], ":")
		for j := 1; j < len(names); j++ {
			v, err := strconv.ParseInt(values[j], 10, 64)
			if err != nil {
				return err
			}
			c[group+names[j]] = v
		}
	}
	return nil
}

// Since returns how much each counter grew after before was read, without the
// ones that did not.
func (c Counters) Since(before Counters) Counters {
	d := Counters{}
	for name, v := range c {
		if v != before[name] {
			d[name] = v - before[name]
		}
	}
	return d
}

// MPTCP returns the counters of the MPTCP group, without its prefix.
func (c Counters) MPTCP() Counters {
	d := Counters{}
	for name, v := range c {
		if short, ok := strings.CutPrefix(name, "MPTcpExt"); ok && v != 0 {
			d[short] = v
		}
	}
	return d
}
