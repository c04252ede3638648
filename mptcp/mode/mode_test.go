package mode

import "testing"

func TestNew(t *testing.T) {
	seen := map[uint8]bool{}
	for _, name := range Names() {
		m, err := New(name)
		if err != nil || m.Name != name || m.Scheduler == nil || m.PathManager == nil || m.MPTCP != (name != None) {
			t.Errorf("%s: %+v %v", name, m, err)
		}
		if seen[m.Service] {
			t.Errorf("%s: service %d is taken", name, m.Service)
		}
		seen[m.Service] = true
		n, _ := New(name)
		if n.PathManager == m.PathManager {
			t.Errorf("%s: two connections share a path manager", name)
		}
	}
	if _, err := New("fast"); err == nil {
		t.Error("an unknown name was taken")
	}
}
