package stack

import "hash/maphash"

// linked is an element of a tupleMap: it carries its key and its link, so that
// the map itself takes a word or two per element.
type linked[E any] interface {
	*E
	at() tuple
	link() **E
}

// tupleMap finds elements by 4-tuple: a hash table chained through its
// elements. The hash is keyed: chains cannot be made long from outside.
type tupleMap[E any, P linked[E]] struct {
	seed  maphash.Seed
	slots []*E // a power of two
	n     int
}

func (m *tupleMap[E, P]) init() { m.seed, m.slots = maphash.MakeSeed(), make([]*E, 16) }

func (m *tupleMap[E, P]) slot(k tuple) **E {
	return &m.slots[maphash.Comparable(m.seed, k)&uint64(len(m.slots)-1)]
}

func (m *tupleMap[E, P]) get(k tuple) *E {
	for e := *m.slot(k); e != nil; e = *P(e).link() {
		if P(e).at() == k {
			return e
		}
	}
	return nil
}

// put adds e, whose key must not be there.
func (m *tupleMap[E, P]) put(e *E) {
	if m.n >= len(m.slots) {
		m.resize(2 * len(m.slots))
	}
	m.n++
	m.chain(e)
}

func (m *tupleMap[E, P]) chain(e *E) {
	s := m.slot(P(e).at())
	*P(e).link(), *s = *s, e
}

// remove takes e out and reports whether it was in.
func (m *tupleMap[E, P]) remove(e *E) bool {
	for s := m.slot(P(e).at()); *s != nil; s = P(*s).link() {
		if *s != e {
			continue
		}
		*s = *P(e).link()
		*P(e).link() = nil
		m.n--
		if m.n < len(m.slots)/8 && len(m.slots) > 1024 {
			m.resize(len(m.slots) / 2)
		}
		return true
	}
	return false
}

func (m *tupleMap[E, P]) resize(n int) {
	old := m.slots
	m.slots = make([]*E, n)
	for _, e := range old {
		for e != nil {
			next := *P(e).link()
			m.chain(e)
			e = next
		}
	}
}
