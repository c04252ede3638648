//go:build linux

package uplink

import (
	"os"
	"reflect"
	"testing"
)

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j, err := newJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	steps := []step{
		{Kind: stepSysctl, Path: "net/ipv4/conf/x/forwarding", Old: "0", Set: "1", All: "0"},
		{Kind: stepRule, Family: 2, Table: 21300, Iif: "sennit-x"},
		{Kind: stepNft, Name: "sennit"},
	}
	for _, s := range steps {
		if err := j.note(s); err != nil {
			t.Fatal(err)
		}
	}
	read := func() saved {
		t.Helper()
		all, err := readJournals(dir, nil)
		if err != nil || len(all) != 1 {
			t.Fatalf("read %d journals: %v", len(all), err)
		}
		return all[0]
	}
	if s := read(); !s.live || s.owner.PID != os.Getpid() || !reflect.DeepEqual(s.steps, steps) {
		t.Errorf("read %+v", s)
	}
	if own, err := readJournals(dir, j); err != nil || len(own) != 0 {
		t.Errorf("did not spare our own: %v, %v", own, err)
	}
	// A process dies while it writes: the line without an end does not count.
	path := j.f.Name()
	if _, err := j.f.WriteString(`{"kind":"ru`); err != nil {
		t.Fatal(err)
	}
	j.f.Close()
	if s := read(); s.live || !reflect.DeepEqual(s.steps, steps) {
		t.Errorf("after the owner's death: %+v", s)
	}
	if err := os.WriteFile(path, []byte("{}\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readJournals(dir, nil); err == nil {
		t.Error("a damaged journal went unnoticed")
	}
}

func TestTwoJournalsOfOneProcess(t *testing.T) {
	dir := t.TempDir()
	a, err := newJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	a.close()
	b.close()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}
