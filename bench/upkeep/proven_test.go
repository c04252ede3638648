package upkeep

import (
	"maps"
	"slices"
	"testing"
)

// proven are the folders in which every rule cited in the code, package docs
// aside, is cited by a test of the same folder. A folder may join, not leave.
var proven = []string{
	"mptcp/dss",
	"mptcp/key",
	"mptcp/mode",
	"mptcp/option",
	"mptcp/pathman",
	"mptcp/sched",
}

func TestProvenFolders(t *testing.T) {
	all := sources(t)
	for _, dir := range proven {
		code, tests := map[string]string{}, map[string]string{}
		seen := false
		for _, f := range all {
			if f.dir != dir {
				continue
			}
			seen = true
			rules := code
			if f.test {
				rules = tests
			}
			for _, group := range f.ast.Comments {
				if group == f.ast.Doc && !f.test {
					continue
				}
				for _, m := range citation.FindAllString(group.Text(), -1) {
					rules[m] = f.at(group)
				}
			}
			if f.test {
				// The name of a case in a table counts too.
				for _, m := range citation.FindAllString(string(f.source), -1) {
					rules[m] = f.path
				}
			}
		}
		if !seen {
			t.Errorf("%s: no such folder", dir)
		}
		for _, rule := range slices.Sorted(maps.Keys(code)) {
			if _, ok := tests[rule]; !ok {
				t.Errorf("%s: %s has no test in %s", code[rule], rule, dir)
			}
		}
	}
}
