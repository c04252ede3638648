//go:build !linux || !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "sennit-packetdrill is a shared object for packetdrill. It needs Linux and cgo:\n"+
		"	CGO_ENABLED=1 go build -buildmode=c-shared -o sennit-packetdrill.so ./cmd/sennit-packetdrill")
	os.Exit(1)
}
