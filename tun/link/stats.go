package link

import "sync/atomic"

// Stats counts what crossed an Endpoint and why packets were dropped. Packets
// are as the device hands them: a super-packet counts once.
type Stats struct {
	ReceivedPackets, ReceivedBytes uint64
	ReceivedSuper                  uint64 // super-packets among them
	SentPackets, SentBytes         uint64
	SentSuper                      uint64 // super-packets the device took whole
	SplitSuper                     uint64 // super-packets cut in software
	Intercepted                    uint64 // received packets that Intercept took

	BadHeader    uint64 // received, dropped: no IP packet, or shorter than it says
	BadChecksum  uint64 // received, dropped: a checksum is wrong
	ReadErrors   uint64 // received, dropped: the device could not hand it over
	NotAttached  uint64 // received, dropped: no stack
	WriteErrors  uint64 // sent, dropped: the device did not take it
	NotSplit     uint64 // sent, dropped: headers did not match the metadata
	Fragments    uint64 // received fragments, left to the stack to verify
	VerifiedHere uint64 // received packets whose checksum was computed here
}

// counters is Stats while it is being counted.
type counters struct {
	receivedPackets, receivedBytes, receivedSuper   atomic.Uint64
	sentPackets, sentBytes, sentSuper, splitSuper   atomic.Uint64
	intercepted                                     atomic.Uint64
	badHeader, badChecksum, readErrors, notAttached atomic.Uint64
	writeErrors, notSplit, fragments, verifiedHere  atomic.Uint64
}

// Stats returns the counters as they are now.
func (e *Endpoint) Stats() Stats {
	c := &e.stats
	return Stats{
		ReceivedPackets: c.receivedPackets.Load(),
		ReceivedBytes:   c.receivedBytes.Load(),
		ReceivedSuper:   c.receivedSuper.Load(),
		SentPackets:     c.sentPackets.Load(),
		SentBytes:       c.sentBytes.Load(),
		SentSuper:       c.sentSuper.Load(),
		SplitSuper:      c.splitSuper.Load(),
		Intercepted:     c.intercepted.Load(),
		BadHeader:       c.badHeader.Load(),
		BadChecksum:     c.badChecksum.Load(),
		ReadErrors:      c.readErrors.Load(),
		NotAttached:     c.notAttached.Load(),
		WriteErrors:     c.writeErrors.Load(),
		NotSplit:        c.notSplit.Load(),
		Fragments:       c.fragments.Load(),
		VerifiedHere:    c.verifiedHere.Load(),
	}
}
