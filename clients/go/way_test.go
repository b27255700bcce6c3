package corral_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// way leads to a server, and can be made slow, or broken.
type way struct {
	address string
	server  string
	late    atomic.Int64 // answers, in nanoseconds
	refused atomic.Int64 // so many of the next connections

	mu   sync.Mutex
	open []net.Conn
}

func newWay(t *testing.T, s *server) *way {
	t.Helper()
	w := &way{address: "127.0.0.1:" + freePort(t), server: s.address}
	listener, err := net.Listen("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = listener.Close()
		w.breaks(0)
	})
	go func() {
		for {
			caller, err := listener.Accept()
			if err != nil {
				return
			}
			if w.refused.Add(-1) >= 0 {
				_ = caller.Close()
				continue
			}
			go w.lead(caller)
		}
	}()
	return w
}

func (w *way) lead(caller net.Conn) {
	server, err := net.Dial("tcp", w.server)
	if err != nil {
		_ = caller.Close()
		return
	}
	w.mu.Lock()
	w.open = append(w.open, caller, server)
	w.mu.Unlock()
	go func() {
		_, _ = io.Copy(server, caller)
		_ = server.Close()
	}()
	defer caller.Close()
	bytes := make([]byte, 64<<10)
	for {
		count, err := server.Read(bytes)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(w.late.Load()))
		if _, err := caller.Write(bytes[:count]); err != nil {
			return
		}
	}
}

// breaks closes all connections, and so many of the next.
func (w *way) breaks(next int64) {
	w.refused.Store(next)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.open {
		_ = conn.Close()
	}
	w.open = nil
}
