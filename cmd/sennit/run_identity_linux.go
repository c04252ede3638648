package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// identity is who COMMAND runs as.
type identity struct {
	Change      bool // it is somebody else than us
	UID, GID    int
	Groups      []int
	environment map[string]string // what a login would set
}

// callerIdentity is the user who called sudo, unless root is wanted or nobody
// called it.
func callerIdentity(root bool) (*identity, error) {
	id := &identity{UID: os.Getuid(), GID: os.Getgid()}
	uid := os.Getenv("SUDO_UID")
	if root || uid == "" || os.Geteuid() != 0 {
		return id, nil
	}
	n, err := strconv.Atoi(uid)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("SUDO_UID=%q is no user number", uid)
	}
	id.UID, id.GID, id.Change = n, n, true
	if g, err := strconv.Atoi(os.Getenv("SUDO_GID")); err == nil {
		id.GID = g
	}
	id.Groups = []int{id.GID}
	u, err := user.LookupId(uid)
	if err != nil {
		return id, nil // a user without an entry: no name, no further groups
	}
	id.environment = map[string]string{"HOME": u.HomeDir, "USER": u.Username, "LOGNAME": u.Username}
	groups, err := u.GroupIds()
	if err != nil {
		return id, nil
	}
	for _, g := range groups {
		if n, err := strconv.Atoi(g); err == nil && !slices.Contains(id.Groups, n) {
			id.Groups = append(id.Groups, n)
		}
	}
	return id, nil
}

// env returns the environment for COMMAND.
func (id *identity) env() []string {
	env := os.Environ()
	if !id.Change {
		return env
	}
	env = slices.DeleteFunc(env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, replaced := id.environment[name]
		return replaced || strings.HasPrefix(name, "SUDO_")
	})
	for name, value := range id.environment {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// create makes or empties a file that will belong to the user.
func (id *identity) create(path string) (*os.File, error) {
	_, statErr := os.Lstat(path)
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if id.Change && errors.Is(statErr, os.ErrNotExist) {
		if err := f.Chown(id.UID, id.GID); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}
