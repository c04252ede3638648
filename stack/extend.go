package stack

// Extension returns what f made when it was first called for this stack and
// this key: the place where a layer above, such as package mptcp, keeps what it
// knows per stack. f must not call Extension.
func (s *Stack) Extension(key any, f func() any) any {
	s.closeMu.Lock()
	defer s.closeMu.Unlock()
	x, ok := s.extensions[key]
	if !ok {
		x = f()
		if s.extensions == nil {
			s.extensions = map[any]any{}
		}
		s.extensions[key] = x
	}
	return x
}
