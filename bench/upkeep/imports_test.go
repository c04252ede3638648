package upkeep

import (
	"slices"
	"strings"
	"testing"
)

// floor of each top-level folder: an import may only point down, or stay in
// the folder. Neighbours on one floor do not know each other, but cmd may wire
// everything, bench included.
var floor = map[string]int{"tun": 0, "ecn": 0, "stack": 1, "ipv6": 2, "mptcp": 3, "bench": 4, "cmd": 5}

// core packages obey the law: events and time come in, segments, events and
// one deadline go out. Each may import what is listed, besides the standard
// library.
var core = map[string][]string{
	"ecn":           {},
	"stack/mono":    {},
	"stack/seq":     {},
	"stack/chunk":   {},
	"stack/wire":    {"ecn", "stack/seq", "stack/chunk"},
	"stack/cc":      {"stack/mono"},
	"stack/rtt":     {"stack/mono"},
	"stack/rack":    {"stack/mono", "stack/seq", "stack/wire"},
	"stack/reasm":   {"stack/mono", "stack/seq", "stack/wire", "stack/chunk"},
	"stack/aqm":     {"stack/mono", "ecn"},
	"stack/tcp":     {"ecn", "stack/mono", "stack/seq", "stack/chunk", "stack/wire", "stack/cc", "stack/rtt", "stack/rack", "stack/reasm"},
	"mptcp/policy":  {"stack/mono"},
	"mptcp/option":  {"stack/wire", "stack/seq"},
	"mptcp/key":     {"stack/wire", "stack/seq"},
	"mptcp/dss":     {"stack/wire", "stack/seq", "stack/chunk"},
	"mptcp/sched":   {"mptcp/policy", "stack/mono", "stack/cc"},
	"mptcp/pathman": {"mptcp/policy", "ipv6/embed", "stack/mono", "stack/cc"},
	"mptcp/coupled": {"mptcp/policy", "stack/mono", "stack/cc"},
	"mptcp/mode":    {"mptcp/policy", "mptcp/sched", "mptcp/pathman", "mptcp/coupled", "stack/mono", "stack/cc"},
	"mptcp/conn": {"ecn", "stack/tcp", "stack/mono", "stack/seq", "stack/chunk", "stack/wire", "stack/cc", "stack/rtt", "stack/reasm",
		"mptcp/option", "mptcp/key", "mptcp/dss", "mptcp/policy"},
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range sources(t) {
		top, _, _ := strings.Cut(f.dir, "/")
		for _, imp := range f.imports() {
			target, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			to, _, _ := strings.Cut(target, "/")
			switch {
			case to == top:
			case f.test && target == "bench/lab":
				// Tests meet the kernel there. The package imports nothing of ours.
			case floor[to] >= floor[top]:
				t.Errorf("%s imports %s: imports point down (cmd, bench, mptcp, ipv6, stack, then tun and ecn)", f.path, target)
			}
			if f.dir == "bench/lab" && !f.test {
				t.Errorf("%s imports %s: bench/lab knows nothing of Sennit", f.path, target)
			}
		}
	}
}

func TestCoreImports(t *testing.T) {
	for _, f := range sources(t) {
		allowed, isCore := core[f.dir]
		if !isCore || f.test {
			continue
		}
		for _, imp := range f.imports() {
			target, ours := strings.CutPrefix(imp, module+"/")
			switch {
			case ours && !slices.Contains(allowed, target):
				t.Errorf("%s imports %s; %s may import %v", f.path, target, f.dir, allowed)
			case !ours && strings.Contains(strings.Split(imp, "/")[0], "."):
				t.Errorf("%s imports %s: a core package needs the standard library only", f.path, imp)
			}
		}
	}
}

func TestGVisorStaysBehindTheGlue(t *testing.T) {
	for _, f := range sources(t) {
		for _, imp := range f.imports() {
			if strings.HasPrefix(imp, "gvisor.dev/") && f.dir != "stack" && f.dir != "tun/link" && !strings.HasPrefix(f.dir, "bench") {
				t.Errorf("%s imports %s: only stack (root), tun/link and bench may", f.path, imp)
			}
		}
	}
}
