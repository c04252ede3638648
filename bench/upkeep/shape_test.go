package upkeep

import (
	"bytes"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTopLevel(t *testing.T) {
	allowed := []string{"stack", "mptcp", "ecn", "ipv6", "tun", "cmd", "bench", "testdata", "go.mod", "go.sum", "LICENSE", "README.md"}
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s does not belong at the top; allowed are %v", e.Name(), allowed)
		}
	}
}

// Every package opens with what it owns.
func TestPackageDocs(t *testing.T) {
	docs := map[string]string{}
	names := map[string]string{}
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		names[f.dir] = f.ast.Name.Name
		if f.ast.Doc != nil {
			docs[f.dir] += f.ast.Doc.Text()
		}
	}
	for dir, name := range names {
		want := "Package " + name + " "
		if name == "main" {
			want = "Command " + filepath.Base(dir) + " "
		}
		if doc := docs[dir]; !strings.HasPrefix(doc, want) || len(doc) < 80 {
			t.Errorf("%s: want a package doc that starts with %q and says what the package owns, have %q", dir, want, doc)
		}
		if slices.Contains([]string{"util", "utils", "common", "misc", "helpers"}, name) {
			t.Errorf("%s: a package named %s says nothing", dir, name)
		}
	}
}

func TestFormatted(t *testing.T) {
	for _, f := range sources(t) {
		want, err := format.Source(f.source)
		if err != nil {
			t.Errorf("%s: %v", f.path, err)
		} else if !bytes.Equal(want, f.source) {
			t.Errorf("%s is not formatted: gofmt -w %s", f.path, f.path)
		}
	}
}

// A file past 600 lines holds more than one concern.
func TestFileSizes(t *testing.T) {
	const limit = 600
	for _, f := range sources(t) {
		if n := bytes.Count(f.source, []byte("\n")); n > limit {
			t.Errorf("%s has %d lines; split it by concern (limit %d)", f.path, n, limit)
		}
	}
}

var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

// Nothing is left for later in the sources, and no machine's paths.
func TestNothingUnfinished(t *testing.T) {
	for _, f := range sources(t) {
		for i, line := range strings.Split(string(f.source), "\n") {
			if unfinished.MatchString(line) {
				t.Errorf("%s:%d: %s", f.path, i+1, strings.TrimSpace(line))
			}
		}
	}
}
