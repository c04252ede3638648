package cc

import (
	"fmt"
	"slices"
	"strings"
)

// controllers is where a new controller registers: one line.
var controllers = map[string]func(Config) Controller{
	"bbr":     NewBBR,
	"cubic":   NewCubic,
	"newreno": NewReno,
}

// New makes the controller registered under name.
func New(name string, c Config) (Controller, error) {
	f := controllers[name]
	if f == nil {
		return nil, fmt.Errorf("cc: no controller %q (have %s)", name, strings.Join(Names(), ", "))
	}
	return f(c), nil
}

// Names returns the names New knows, in order.
func Names() []string {
	names := make([]string, 0, len(controllers))
	for n := range controllers {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
