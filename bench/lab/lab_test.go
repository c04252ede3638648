//go:build linux

package lab_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sennit-net/sennit/bench/lab"
)

func echo(t *testing.T, pc net.PacketConn, to netip.AddrPort) {
	t.Helper()
	if err := pc.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := pc.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(to)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, _, err := pc.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("echo gave %q, %v", buf[:n], err)
	}
}

// The content is fixed for ever: figures of different days are comparable.
func TestContentIsFixed(t *testing.T) {
	if got, want := lab.Sum(1_000_000), "4488f0f41d0e4b36be268c5c9587c6b93778a01e59328d4313b47ca69382825f"; got != want {
		t.Errorf("Sum(1000000) = %s, want %s", got, want)
	}
	b, err := io.ReadAll(lab.Content(10))
	if err != nil || len(b) != 10 {
		t.Errorf("Content(10) gave %d bytes, %v", len(b), err)
	}
}

func TestHandler(t *testing.T) {
	srv := httptest.NewServer(lab.Handler())
	defer srv.Close()
	get := func(path string) (int, string) {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if code, body := get("/bytes/5000"); code != 200 || len(body) != 5000 {
		t.Errorf("/bytes/5000: %d with %d bytes", code, len(body))
	}
	if code, _ := get("/bytes/x"); code != http.StatusBadRequest {
		t.Errorf("/bytes/x: %d", code)
	}
	resp, err := http.Post(srv.URL+"/upload", "", lab.Content(5000))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); strings.TrimSpace(string(b)) != "5000 "+lab.Sum(5000) {
		t.Errorf("upload answered %q", b)
	}
}
