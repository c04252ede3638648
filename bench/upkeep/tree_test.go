package upkeep

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/sennit-net/sennit"

// file is one Go source of the module.
type file struct {
	path   string // relative to the root, slashes
	dir    string // folder, "." for the root
	test   bool
	source []byte
	ast    *ast.File
	fset   *token.FileSet
}

// imports returns what the file imports.
func (f *file) imports() []string {
	var all []string
	for _, spec := range f.ast.Imports {
		all = append(all, strings.Trim(spec.Path.Value, `"`))
	}
	return all
}

// at says where a node is, for messages.
func (f *file) at(n ast.Node) string {
	p := f.fset.Position(n.Pos())
	return f.path + ":" + strconv.Itoa(p.Line)
}

var load = sync.OnceValues(func() ([]*file, error) {
	var files []*file
	fset := token.NewFileSet()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel = filepath.ToSlash(rel)
		source, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fset, rel, source, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, &file{path: rel, dir: path.Dir(rel), test: strings.HasSuffix(name, "_test.go"),
			source: source, ast: parsed, fset: fset})
		return nil
	})
	return files, err
})

// sources returns all Go sources of the module.
func sources(t *testing.T) []*file {
	t.Helper()
	files, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d sources found: this test looks in the wrong place", len(files))
	}
	return files
}
