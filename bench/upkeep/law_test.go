package upkeep

import (
	"go/ast"
	"slices"
	"testing"
)

// What the core must not have: a clock, randomness, logs. (name: functions; all
// of a package if empty)
var outlawed = map[string][]string{
	"time":         {"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"},
	"sync":         {"Mutex", "RWMutex", "Cond", "WaitGroup"},
	"math/rand":    nil,
	"math/rand/v2": nil,
	"crypto/rand":  nil,
	"log":          nil,
	"log/slog":     nil,
	"os":           nil,
	"context":      nil,
	"net":          nil,
}

// The core never blocks, never reads a clock, never draws randomness, never
// takes a lock, never logs text.
func TestCoreObeysTheLaw(t *testing.T) {
	for _, f := range sources(t) {
		if _, isCore := core[f.dir]; !isCore || f.test {
			continue
		}
		names := map[string]string{} // local name of an import -> its path
		for _, spec := range f.ast.Imports {
			p := spec.Path.Value[1 : len(spec.Path.Value)-1]
			banned, listed := outlawed[p]
			if !listed {
				continue
			}
			if banned == nil {
				t.Errorf("%s: the core must not import %s", f.at(spec), p)
			}
			names[p] = p
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: the core starts no goroutine", f.at(n))
			case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
				t.Errorf("%s: the core never blocks: no channels", f.at(n))
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && slices.Contains(outlawed[names[pkg.Name]], n.Sel.Name) {
					t.Errorf("%s: %s.%s in the core", f.at(n), pkg.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}
