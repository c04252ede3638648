//go:build !linux

package main

import "errors"

func childRequested() bool { return false }

func childMain() {}

func runCommand(runOptions, []string) error {
	return &exitError{exitOwn, errors.New("run needs Linux (network namespaces and TUN with policy routes); `sennit demo` and the library work here")}
}
