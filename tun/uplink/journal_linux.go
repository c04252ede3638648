package uplink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A journal is a file of JSON lines: who, then one line for each change, written
// before the change is made. Its owner holds a lock on it for life, so that
// everybody can tell whether the owner lives, across PID namespaces and whatever
// becomes of its process number.

// owner is the first line of a journal.
type owner struct {
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Boot    string    `json:"boot"`  // kernel's boot id: a reboot undoes all
	Netns   uint64    `json:"netns"` // cookie of the network namespace, never reused
	Inode   uint64    `json:"inode"` // of the network namespace
}

// step is one change, and how to undo it.
type step struct {
	Kind stepKind `json:"kind"`

	// sysctl: Path below /proc/sys was Old and becomes Set. All is what the
	// sysctl of the same name for all devices was.
	Path string `json:"path,omitempty"`
	Old  string `json:"old,omitempty"`
	Set  string `json:"set,omitempty"`
	All  string `json:"all,omitempty"`

	// rule: one of Iif, From, To leads into Table.
	Family int    `json:"family,omitempty"`
	Table  int    `json:"table,omitempty"` // of rule and table
	Iif    string `json:"iif,omitempty"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`

	// nft: the table Name. pass: rules with the comment Name in a chain.
	Name  string  `json:"name,omitempty"`
	Where chainID `json:"where,omitzero"`
}

type stepKind string

const (
	stepSysctl stepKind = "sysctl"
	stepRule   stepKind = "rule"
	stepTable  stepKind = "table" // a routing table filled by us
	stepNft    stepKind = "nft"
	stepPass   stepKind = "pass" // our rules in the chain of somebody else
)

func (s step) String() string {
	switch s.Kind {
	case stepSysctl:
		return fmt.Sprintf("sysctl %s=%s", s.Path, s.Old)
	case stepRule:
		return fmt.Sprintf("rule %s%s%s lookup %d", prefixed("iif ", s.Iif), prefixed("from ", s.From), prefixed("to ", s.To), s.Table)
	case stepTable:
		return fmt.Sprintf("routing table %d", s.Table)
	case stepNft:
		return "nftables table " + s.Name
	case stepPass:
		return fmt.Sprintf("rules for %s in nftables chain %s %s", s.Name, s.Where.Table, s.Where.Chain)
	}
	return string(s.Kind)
}

func prefixed(word, s string) string {
	if s == "" {
		return ""
	}
	return word + s
}

// journal is our own, open and locked.
type journal struct {
	f     *os.File
	owner owner
	steps []step
}

const journalSuffix = ".journal"

// newJournal begins a journal in dir.
func newJournal(dir string) (*journal, error) {
	cookie, inode, err := currentNetns()
	if err != nil {
		return nil, err
	}
	o := owner{PID: os.Getpid(), Started: time.Now().Round(time.Second), Boot: bootID(), Netns: cookie, Inode: inode}
	f, err := createLocked(dir, fmt.Sprintf("%d-%d", o.PID, startTime(o.PID)))
	if err != nil {
		return nil, err
	}
	j := &journal{f: f, owner: o}
	if err := j.append(o); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// createLocked makes a new file named base and a suffix, and locks it. One
// process may have several journals (tests do).
func createLocked(dir, base string) (*os.File, error) {
	for n := 0; ; n++ {
		name := base
		if n > 0 {
			name += "-" + strconv.Itoa(n)
		}
		f, err := os.OpenFile(filepath.Join(dir, name+journalSuffix), os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		if errors.Is(err, os.ErrExist) && n < 1000 {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
}

// note writes a step down; the change may be made only if it returns nil.
func (j *journal) note(s step) error {
	if err := j.append(s); err != nil {
		return err
	}
	j.steps = append(j.steps, s)
	return nil
}

func (j *journal) append(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = j.f.Write(append(line, '\n'))
	return err
}

// close removes the journal: nothing is left to undo.
func (j *journal) close() {
	os.Remove(j.f.Name())
	j.f.Close()
}

// saved is a journal read from its file.
type saved struct {
	path  string
	live  bool // its owner holds the lock
	owner owner
	steps []step
}

// readJournals reads all journals of dir but own. It holds none of their locks
// afterwards.
func readJournals(dir string, own *journal) ([]saved, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+journalSuffix))
	if err != nil {
		return nil, err
	}
	var all []saved
	for _, path := range paths {
		if own != nil && path == own.f.Name() {
			continue
		}
		s, err := readJournal(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func readJournal(path string) (saved, error) {
	f, err := os.Open(path)
	if err != nil {
		return saved{}, err
	}
	defer f.Close()
	s := saved{path: path}
	// A lock that can be had is nobody's; closing f gives it back.
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	s.live = errors.Is(err, unix.EWOULDBLOCK)
	data, err := os.ReadFile(path)
	if err != nil {
		return saved{}, err
	}
	lines := bytes.Split(data, []byte("\n"))
	// What follows the last newline was not finished, so its change was not
	// begun.
	for i, line := range lines[:len(lines)-1] {
		if i == 0 {
			err = json.Unmarshal(line, &s.owner)
		} else {
			var st step
			err = json.Unmarshal(line, &st)
			s.steps = append(s.steps, st)
		}
		if err != nil {
			return saved{}, fmt.Errorf("journal %s, line %d: %w", path, i+1, err)
		}
	}
	return s, nil
}

const (
	lockPatience = 30 * time.Second
	lockPause    = 10 * time.Millisecond
)

// stateLock keeps two processes from setting up or cleaning up at once. Locks
// of one process are waited for like those of others.
func stateLock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal directory: %w", err)
	}
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("journal directory: another sennit holds %s: %w", f.Name(), err)
		}
	}
	return func() { f.Close() }, nil
}

// currentNetns identifies the network namespace of this thread.
func currentNetns() (cookie, inode uint64, err error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0, 0, fmt.Errorf("network namespace: %w", err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("network namespace: %w", err)
	}
	defer unix.Close(fd)
	cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil { // before Linux 5.14
		cookie = st.Ino
	}
	return cookie, st.Ino, nil
}

// netnsGone reports whether no namespace has this inode number any more, as far
// as processes and mounts tell.
func netnsGone(inode uint64) bool {
	name := fmt.Sprintf("net:[%d]", inode)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), name) {
		return false
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return false
	}
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && target == name {
			return false
		}
	}
	return true
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// startTime returns when a process started, in clock ticks since boot; 0 if
// unknown.
func startTime(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The command's name, in parentheses, may hold anything.
	i := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[i+1:]))
	const starttime = 22 - 3 // field of proc_pid_stat(5), counted after the name
	if len(fields) <= starttime {
		return 0
	}
	t, _ := strconv.ParseUint(fields[starttime], 10, 64)
	return t
}
