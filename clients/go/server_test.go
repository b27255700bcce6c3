package corral_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"corral.example/corral-cache"
	"corral.example/corral-cache/goredis"
	"corral.example/corral-cache/rueidiscorral"
)

// server is a real one with the module, on a port of its own. CORRAL_SERVER and CORRAL_MODULE name others.
type server struct {
	*redis.Client // the test's own
	address       string
	process       *os.Process
}

func startServer(t *testing.T, settings ...string) *server {
	t.Helper()
	module := os.Getenv("CORRAL_MODULE")
	if module == "" {
		t.Fatal("CORRAL_MODULE is to name a build of the module")
	}
	program := os.Getenv("CORRAL_SERVER")
	if program == "" {
		program = "redis-server"
	}
	directory := t.TempDir()
	port := freePort(t)
	log := filepath.Join(directory, "log")
	command := exec.Command(program, append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", directory, "--save", "",
		"--loadmodule", module, "--logfile", log}, settings...)...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{address: "127.0.0.1:" + port, process: command.Process}
	s.Client = redis.NewClient(&redis.Options{Addr: s.address, MaxRetries: -1, Protocol: 2, ReadTimeout: time.Minute})
	t.Cleanup(func() {
		_ = s.Close()
		_ = s.process.Signal(syscall.SIGCONT)
		_ = s.process.Kill()
		_ = command.Wait()
		if t.Failed() {
			said, _ := os.ReadFile(log)
			t.Logf("the server said:\n%s", said)
		}
	})
	until(t, "the server answers", func() bool { return s.Ping(context.Background()).Err() == nil })
	return s
}

// freePort is below those that the system gives to connections.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		if probe, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = probe.Close()
			return port
		}
	}
}

// eachLibrary plays a test with a Cache over each. It is closed, and has left nothing running, when the test ends.
func eachLibrary(t *testing.T, play func(t *testing.T, s *server, open func(...corral.CacheOption) *corral.Cache)) {
	t.Helper()
	for name, open := range map[string]func(s *server, options ...corral.CacheOption) (*corral.Cache, error){
		"go-redis": func(s *server, options ...corral.CacheOption) (*corral.Cache, error) {
			// Time-outs and retries of the application's, which are not to matter.
			client := redis.NewClient(&redis.Options{Addr: s.address, ReadTimeout: 100 * time.Millisecond, MaxRetries: 9, PoolSize: 4})
			defer client.Close() // its settings are all that is taken of it
			return goredis.New(client, options...)
		},
		"rueidis": func(s *server, options ...corral.CacheOption) (*corral.Cache, error) {
			return rueidiscorral.New(rueidis.ClientOption{InitAddress: []string{s.address}, ConnWriteTimeout: 100 * time.Millisecond}, options...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			play(t, s, func(options ...corral.CacheOption) *corral.Cache {
				options = append([]corral.CacheOption{corral.Logger(slog.New(slog.NewTextHandler(io.Discard, nil)))}, options...)
				cache, err := open(s, options...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(cache.Close)
				return cache
			})
		})
	}
}

func (s *server) command(t *testing.T, words ...any) any {
	t.Helper()
	reply, err := s.Do(context.Background(), words...).Result()
	if err != nil && err != redis.Nil {
		t.Fatalf("%v: %v", words, err)
	}
	return reply
}

// lock takes the key's lease for the test, and gives its token.
func (s *server) lock(t *testing.T, key string) any {
	t.Helper()
	reply := s.command(t, "CACHE.GETORLOCK", key, "LEASE", 60_000).([]any)
	if reply[0] != "LOCK" {
		t.Fatalf("no lease: %v", reply)
	}
	return reply[2]
}

// figure is a field of INFO, as the server wrote it; empty if there is none.
func (s *server) figure(t *testing.T, section, field string) string {
	t.Helper()
	for line := range strings.Lines(s.command(t, "INFO", section).(string)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == field {
			return value
		}
	}
	return ""
}

func (s *server) waiters(t *testing.T, wanted int) {
	t.Helper()
	until(t, fmt.Sprintf("%d waiters", wanted), func() bool {
		return s.figure(t, "corral", "corral_waiters") == strconv.Itoa(wanted)
	})
}

func (s *server) noLeases(t *testing.T) {
	t.Helper()
	until(t, "no leases", func() bool { return len(s.command(t, "CACHE.LEASES").([]any)) == 0 })
}

// calls is how often the server was sent a command.
func (s *server) calls(t *testing.T, command string) int {
	t.Helper()
	said := s.figure(t, "commandstats", "cmdstat_"+command)
	said, _, _ = strings.Cut(strings.TrimPrefix(said, "calls="), ",")
	count, _ := strconv.Atoi(said)
	return count
}

// until asks again until it is so, or the deadline has passed.
func until(t *testing.T, sentence string, ask func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ask(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", sentence)
		}
	}
}

type result[T any] struct {
	value    T
	err      error
	panicked any
}

// begin is a call whose answer is looked at later.
func begin[T any](call func() (T, error)) <-chan result[T] {
	answered := make(chan result[T], 1)
	go func() {
		var r result[T]
		defer func() {
			r.panicked = recover()
			answered <- r
		}()
		r.value, r.err = call()
	}()
	return answered
}

func answer[T any](t *testing.T, answered <-chan result[T]) result[T] {
	t.Helper()
	select {
	case r := <-answered:
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("no answer within 30 s")
	}
	panic("not reached")
}
