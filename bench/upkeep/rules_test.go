package upkeep

import (
	"maps"
	"regexp"
	"slices"
	"testing"
)

// provenFloor is how many cited rules had a test that cites them too when this
// number was last raised. It may only grow.
const provenFloor = 120

var (
	citation = regexp.MustCompile(`RFC (\d{3,5}) §([0-9A-Z]+(?:\.[0-9A-Z]+)*)`)
	// Other ways to write an address, which a search for the one form would miss.
	crooked = regexp.MustCompile(`RFC\d{3,5}\b|RFC-\d|RFC \d{3,5},? (?:[Ss]ection|[Ss]ec\.) ?\d|§ \d|[Ss]ection \d[\d.]* of RFC`)
)

// cited returns the rules that the files cite, with one place each.
func cited(files []*file, tests bool) map[string]string {
	rules := map[string]string{}
	for _, f := range files {
		if f.test != tests || f.dir == "bench/upkeep" {
			continue
		}
		for _, m := range citation.FindAllString(string(f.source), -1) {
			rules[m] = f.path
		}
	}
	return rules
}

// A rule cited over a branch is cited again in the test that proves it.
func TestCitedRulesAreProven(t *testing.T) {
	files := sources(t)
	code, tests := cited(files, false), cited(files, true)
	proven := 0
	for _, rule := range slices.Sorted(maps.Keys(code)) {
		if _, ok := tests[rule]; ok {
			proven++
		} else {
			t.Logf("cited, not proven: %s (%s)", rule, code[rule])
		}
	}
	t.Logf("%d rules cited, %d of them proven", len(code), proven)
	if proven < provenFloor {
		t.Errorf("%d rules proven, there were %d before", proven, provenFloor)
	}
}

func TestCitationsHaveOneForm(t *testing.T) {
	for _, f := range sources(t) {
		if f.dir == "bench/upkeep" {
			continue
		}
		for _, group := range f.ast.Comments {
			if m := crooked.FindString(group.Text()); m != "" {
				t.Errorf("%s: %q; write RFC nnnn §x.y", f.at(group), m)
			}
		}
	}
}
