package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/sennit-net/sennit/tun/link"
)

// capture writes pcapng, with one interface for each link. A nil capture writes
// nothing.
type capture struct {
	file *os.File

	mu     sync.Mutex
	buf    *bufio.Writer
	writer *pcapgo.NgWriter
	packet []byte // the packet being written, in one piece
	wrote  time.Time
	err    error
	closed bool
}

func newCapture(path string, as *identity) (*capture, error) {
	if path == "" {
		return nil, nil
	}
	f, err := as.create(path)
	if err != nil {
		return nil, err
	}
	return &capture{file: f, buf: bufio.NewWriterSize(f, 1<<20)}, nil
}

// tap returns the function that sees a link's packets.
func (c *capture) tap(name string, mtu int) func(link.Direction, [][]byte) {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	number, err := c.addInterface(name, mtu)
	if err != nil {
		c.err = err
	}
	return func(_ link.Direction, pieces [][]byte) { c.write(number, pieces) }
}

func (c *capture) addInterface(name string, mtu int) (int, error) {
	i := pcapgo.NgInterface{Name: name, Comment: fmt.Sprintf("sennit link, MTU %d", mtu),
		LinkType: layers.LinkTypeRaw, TimestampResolution: 9}
	if c.writer != nil {
		return c.writer.AddInterface(i)
	}
	var err error
	c.writer, err = pcapgo.NewNgWriterInterface(c.buf, i, pcapgo.NgWriterOptions{
		SectionInfo: pcapgo.NgSectionInfo{Application: "sennit"}})
	return 0, err // the first
}

func (c *capture) write(number int, pieces [][]byte) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.closed {
		return
	}
	c.packet = c.packet[:0]
	for _, p := range pieces {
		c.packet = append(c.packet, p...)
	}
	c.err = c.writer.WritePacket(gopacket.CaptureInfo{Timestamp: now, CaptureLength: len(c.packet),
		Length: len(c.packet), InterfaceIndex: number}, c.packet)
	// Somebody may be watching the file grow.
	if c.err == nil && now.Sub(c.wrote) > time.Second {
		c.wrote = now
		c.err = errors.Join(c.writer.Flush(), c.buf.Flush())
	}
}

// close writes what is buffered and returns the first failure to write.
func (c *capture) close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.writer != nil && c.err == nil {
		c.err = c.writer.Flush()
	}
	if err := errors.Join(c.err, c.buf.Flush(), c.file.Close()); err != nil {
		return fmt.Errorf("--pcap: %w", err)
	}
	return nil
}
