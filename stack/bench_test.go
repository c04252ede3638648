package stack_test

import (
	"io"
	"testing"

	"github.com/sennit-net/sennit/stack"
	"github.com/sennit-net/sennit/tun/tuntest"
)

// Bulk from one stack to the other, with and without super-packets.
func BenchmarkBulk(b *testing.B) {
	for name, o := range map[string]tuntest.PipeOptions{
		"offload": {Offload: true}, "single": {}} {
		b.Run(name, func(b *testing.B) {
			p := newPair(b, o, stack.Options{}, stack.Options{})
			client, server := p.connect(b, addrB4)
			chunk := pattern(128 << 10)
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			done := make(chan struct{})
			go func() {
				defer close(done)
				io.CopyN(io.Discard, onlyReader{server}, int64(b.N)*int64(len(chunk)))
			}()
			for range b.N {
				if _, err := client.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			<-done
		})
	}
}

// onlyReader hides all but Read.
type onlyReader struct{ io.Reader }

// One byte there and back.
func BenchmarkPingPong(b *testing.B) {
	p := newPair(b, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	client, server := p.connect(b, addrB4)
	go io.Copy(onlyWriter{server}, onlyReader{server})
	buf := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		client.Write(buf)
		if _, err := io.ReadFull(client, buf); err != nil {
			b.Fatal(err)
		}
	}
}

type onlyWriter struct{ io.Writer }

// A connection from SYN to the end.
func BenchmarkConnect(b *testing.B) {
	p := newPair(b, tuntest.PipeOptions{}, stack.Options{}, stack.Options{})
	l, err := p.b.Listen(b.Context(), "tcp", ":80")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.(*stack.Conn).SetLinger(0)
			c.Close()
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		c, err := p.a.Dial(b.Context(), "tcp", "10.9.0.2:80")
		if err != nil {
			b.Fatal(err)
		}
		c.Read(make([]byte, 1))
		c.Close()
	}
}
