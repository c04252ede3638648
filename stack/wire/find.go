package wire

// Find returns the value of the first option of that kind among those this
// package does not know.
func (o *Options) Find(kind byte) (value []byte, ok bool) {
	for b := o.Other(); len(b) >= 2 && int(b[1]) >= 2 && int(b[1]) <= len(b); b = b[b[1]:] {
		if b[0] == kind {
			return b[2:b[1]], true
		}
	}
	return nil, false
}
