package upkeep

import (
	"bufio"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The ledger of TCP accounts for each rule of the checklist. It is a table of
// tab-separated columns: id, rule, status, evidence. What is proven names the
// tests that fail when the behaviour is removed; what is not applicable or not
// done says why.
const (
	ledgerLines = 431
	// ledgerProven and ledgerOpen are how many rules were proven, and how many
	// not done, when these numbers were last changed. The one may only grow, the
	// other only shrink.
	ledgerProven = 406
	ledgerOpen   = 7
)

var (
	ledgerRule = regexp.MustCompile(`^(—|(RFC \d{3,5}|draft-[a-z-]+)( §[0-9A-Z]+(\.[0-9A-Z]+)*)?)$`)
	testName   = regexp.MustCompile(`^([a-z0-9][a-z0-9/_-]*)\.((?:Test|Fuzz|Benchmark)\w*)((?:/\S+)?)$`)
)

// evidence is one test function as the ledger needs it.
type evidence struct {
	file     *file
	node     *ast.FuncDecl
	comments string
}

// tests returns all test functions by folder and name.
func tests(t *testing.T) map[string]evidence {
	all := map[string]evidence{}
	for _, f := range sources(t) {
		if !f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil {
				continue
			}
			e := evidence{file: f, node: fn}
			for _, g := range f.ast.Comments {
				if g == fn.Doc || g.Pos() >= fn.Pos() && g.End() <= fn.End() {
					e.comments += g.Text() + "\n"
				}
			}
			all[f.dir+"."+fn.Name.Name] = e
		}
	}
	return all
}

// cites reports whether comments give the address of the rule, as written. A
// subsection is another address.
func cites(comments, rule string) bool {
	comments = strings.Join(strings.Fields(comments), " ")
	for rest := comments; ; {
		i := strings.Index(rest, rule)
		if i < 0 {
			return false
		}
		rest = rest[i+len(rule):]
		if !regexp.MustCompile(`^\.?[0-9]`).MatchString(rest) {
			return true
		}
	}
}

// prove checks that a named test exists and cites the rule.
func (e evidence) prove(rule, sub string) error {
	if rule != "—" && !cites(e.comments, rule) {
		return fmt.Errorf("no comment of it says %s", rule)
	}
	if sub == "" {
		return nil
	}
	from, to := e.file.fset.Position(e.node.Pos()).Offset, e.file.fset.Position(e.node.End()).Offset
	body := string(e.file.source[from:to])
	if !strings.Contains(body, sub[1:]) && !strings.Contains(body, strings.ReplaceAll(sub[1:], "_", " ")) {
		return fmt.Errorf("it has no case %s", sub[1:])
	}
	return nil
}

func TestLedgerOfTCP(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "testdata", "rules", "tcp.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	named, count, n := tests(t), map[string]int{}, -1
	for in := bufio.NewScanner(f); in.Scan(); {
		if n++; n == 0 {
			if in.Text() != "id\trule\tstatus\tevidence" {
				t.Errorf("header is %q", in.Text())
			}
			continue
		}
		col := strings.Split(in.Text(), "\t")
		if len(col) != 4 || col[3] == "" {
			t.Errorf("line %d: want four columns, none empty: %q", n+1, in.Text())
			continue
		}
		id, rule, status, why := col[0], col[1], col[2], col[3]
		if want := fmt.Sprintf("TCP-%03d", n); id != want {
			t.Errorf("line %d: id is %s, want %s", n+1, id, want)
		}
		if !ledgerRule.MatchString(rule) {
			t.Errorf("%s: %q is no rule; write RFC nnnn §x.y, or —", id, rule)
		}
		count[status]++
		switch status {
		case "proven":
			checkEvidence(t, named, id, rule, why)
		case "not applicable", "not done":
		default:
			t.Errorf("%s: status %q; want proven, not applicable or not done", id, status)
		}
	}
	t.Logf("%d rules: %d proven, %d not applicable, %d not done", n, count["proven"], count["not applicable"], count["not done"])
	if n != ledgerLines {
		t.Errorf("%d rules, want %d", n, ledgerLines)
	}
	if count["proven"] < ledgerProven || count["not done"] > ledgerOpen {
		t.Errorf("%d proven and %d not done; there were %d and %d before", count["proven"], count["not done"], ledgerProven, ledgerOpen)
	}
}

// checkEvidence checks each test that is named for a rule. Words may follow in
// parentheses.
func checkEvidence(t *testing.T, named map[string]evidence, id, rule, list string) {
	t.Helper()
	list, _, _ = strings.Cut(list, " (")
	for _, name := range strings.Split(list, "; ") {
		m := testName.FindStringSubmatch(name)
		if m == nil {
			t.Errorf("%s: %q is no name of a test; write folder.TestName", id, name)
			continue
		}
		e, ok := named[m[1]+"."+m[2]]
		if !ok {
			t.Errorf("%s: there is no %s.%s", id, m[1], m[2])
			continue
		}
		if err := e.prove(rule, m[3]); err != nil {
			t.Errorf("%s: %s: %v", id, name, err)
		}
	}
}
