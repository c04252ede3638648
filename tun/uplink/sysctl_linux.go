package uplink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// sysctlRoot is the tree of the reading thread's network namespace.
const sysctlRoot = "/proc/sys/"

func readSysctl(path string) (string, error) {
	b, err := os.ReadFile(sysctlRoot + path)
	return strings.TrimSpace(string(b)), err
}

// writeSysctl sets a value. The file may not be made: a sysctl that is not
// there is an error.
func writeSysctl(path, value string) error {
	f, err := os.OpenFile(sysctlRoot+path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func haveSysctl(path string) bool {
	_, err := os.Stat(sysctlRoot + path)
	return err == nil
}

// conf returns the path of a per-device sysctl.
func conf(family, device, name string) string {
	return filepath.Join("net", family, "conf", device, name)
}

// claim sets a sysctl that is not ours alone, after noting what it was. Other
// live processes may have claimed it too: the value to go back to is then the
// one the first of them found, and the last of them restores it. It returns
// that original value.
func (h *Host) claim(path, value string) (original string, err error) {
	for _, s := range h.journal.steps {
		if s.Kind == stepSysctl && s.Path == path {
			return s.Old, writeIfOther(path, value)
		}
	}
	now, err := readSysctl(path)
	if err != nil {
		return "", err
	}
	st := step{Kind: stepSysctl, Path: path, Old: now, Set: value, All: valueForAll(path)}
	if now == value {
		other, ok := h.claimed(path)
		if !ok {
			return now, nil // it was so before any of us
		}
		st.Old, st.All = other.Old, other.All
	}
	if err := h.journal.note(st); err != nil {
		return "", err
	}
	return st.Old, writeIfOther(path, value)
}

func writeIfOther(path, value string) error {
	if now, err := readSysctl(path); err == nil && now == value {
		return nil
	}
	if err := writeSysctl(path, value); err != nil {
		return fmt.Errorf("sysctl %s=%s: %w", path, value, err)
	}
	return nil
}

// keep notes a value that another change of ours will alter as a side effect,
// so that it is restored after that change is undone. It must be noted first.
func (h *Host) keep(path, value string) error {
	return h.journal.note(step{Kind: stepSysctl, Path: path, Old: value, Set: value})
}

// claimed finds the claim of another live process in this namespace.
func (h *Host) claimed(path string) (step, bool) {
	for _, o := range h.others {
		if !o.live || o.owner.Netns != h.journal.owner.Netns {
			continue
		}
		for _, s := range o.steps {
			if s.Kind == stepSysctl && s.Path == path {
				return s, true
			}
		}
	}
	return step{}, false
}

// valueForAll returns the value of the sysctl of the same name that counts for
// all devices, "" if path is none of a device.
func valueForAll(path string) string {
	parts := strings.Split(path, "/")
	if len(parts) != 5 || parts[3] == "all" {
		return ""
	}
	v, _ := readSysctl(conf(parts[1], "all", parts[4]))
	return v
}

// restoreSysctl undoes a claim, unless somebody else has since decided.
func restoreSysctl(s step) error {
	now, err := readSysctl(s.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the device is gone
	}
	if err != nil {
		return err
	}
	switch {
	case now == s.Old:
		return nil
	case s.Set != s.Old && now != s.Set:
		return nil // changed by somebody else
	case s.All != "" && s.All != valueForAll(s.Path) && valueForAll(s.Path) == s.Set:
		return nil // somebody else has since switched it on for all devices
	}
	return writeSysctl(s.Path, s.Old)
}
