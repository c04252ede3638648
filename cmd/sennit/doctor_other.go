//go:build !linux

package main

import (
	"io"
	"runtime"
)

func examine() []finding {
	return []finding{
		{"system", fail, runtime.GOOS, "`sennit run` needs Linux; `sennit demo` and the library work here"},
	}
}

func doctorClean(io.Writer) error { return nil } // run leaves nothing where it does not run
