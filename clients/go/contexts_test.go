package corral_test

import (
	"context"
	"errors"
	"runtime"
	"syscall"
	"testing"
	"time"

	"corral.example/corral-cache"
)

type opener = func(...corral.CacheOption) *corral.Cache

func give(value string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return value, nil }
}

func TestACallerWhoseContextEndsLeavesTheFlightAndTheOthersStay(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Wait(time.Minute))
		token := s.lock(t, "k")
		ctx, cancel := context.WithCancel(context.Background())
		leaves := begin(func() (string, error) { return corral.GetOrBuild(ctx, cache, "k", give("own")) })
		stays := begin(func() (string, error) { return corral.GetOrBuild(context.Background(), cache, "k", give("own")) })
		s.waiters(t, 1)
		cancel()
		if r := answer(t, leaves); !errors.Is(r.err, context.Canceled) {
			t.Errorf("the caller that left got %v", r)
		}
		s.waiters(t, 1)
		s.command(t, "CACHE.FILL", "k", token, `"theirs"`)
		if r := answer(t, stays); r.value != "theirs" {
			t.Errorf("the caller that stayed got %v", r)
		}
	})
}

func TestAParkedCallIsClosedWhenAllItsCallersHaveLeft(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Wait(time.Minute))
		token := s.lock(t, "k")
		ctx, cancel := context.WithCancel(context.Background())
		left := begin(func() (string, error) { return corral.GetOrBuild(ctx, cache, "k", give("own")) })
		s.waiters(t, 1)
		cancel()
		answer(t, left)
		s.waiters(t, 0)
		// The reply to come must not meet the next question.
		s.command(t, "CACHE.FILL", "k", token, `"theirs"`)
		if value, err := corral.GetOrBuild(context.Background(), cache, "other", give("own")); value != "own" || err != nil {
			t.Errorf("the next call got %v, %v", value, err)
		}
	})
}

func TestAGrantThatArrivesForNobodyIsReleased(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Lease(5 * time.Minute))
		if _, err := corral.GetOrBuild(context.Background(), cache, "first", give("v")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		_ = s.process.Signal(syscall.SIGSTOP) // the question lies in its socket
		time.Sleep(150 * time.Millisecond)    // before then, a server that has just answered is taken to answer again
		left := begin(func() (string, error) { return corral.GetOrBuild(ctx, cache, "k", give("own")) })
		time.Sleep(50 * time.Millisecond) // sooner or later, the lease must go
		cancel()
		if r := answer(t, left); !errors.Is(r.err, context.Canceled) {
			t.Errorf("the caller that left got %v", r)
		}
		_ = s.process.Signal(syscall.SIGCONT)
		until(t, "the question was answered", func() bool { return s.calls(t, "CACHE.GETORLOCK") >= 2 })
		s.noLeases(t)
	})
}

func TestADeadlineIsKeptThoughTheServerHangs(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.ReadTimeout(time.Hour))
		if _, err := corral.GetOrBuild(context.Background(), cache, "k", give("v")); err != nil {
			t.Fatal(err)
		}
		_ = s.process.Signal(syscall.SIGSTOP)
		time.Sleep(150 * time.Millisecond) // before then, a server that has just answered is taken to answer again
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		asked := begin(func() (string, error) { return corral.GetOrBuild(ctx, cache, "k", give("v")) })
		if r := answer(t, asked); !errors.Is(r.err, context.DeadlineExceeded) {
			t.Errorf("GetOrBuild gave %v", r)
		}
		told := begin(func() (any, error) { return nil, cache.Invalidate(ctx, "k") })
		if r := answer(t, told); !errors.Is(r.err, context.DeadlineExceeded) {
			t.Errorf("Invalidate gave %v", r)
		}
		_ = s.process.Signal(syscall.SIGCONT)
	})
}

func TestARefreshOutlivesTheRequestThatBeganItAndKeepsItsValues(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.SWR(time.Hour), corral.TTL(time.Hour))
		s.command(t, "CACHE.SET", "k", `"old"`, "PX", 1, "SWR", 60_000)
		until(t, "the value is stale", func() bool { return s.command(t, "CACHE.GET", "k").([]any)[0] == "STALE" })
		type traceOf struct{}
		request, end := context.WithCancel(context.WithValue(context.Background(), traceOf{}, "trace 7"))
		begun, ended := make(chan any, 1), make(chan struct{})
		value, err := corral.GetOrBuild(request, cache, "k", func(ctx context.Context) (string, error) {
			begun <- ctx.Value(traceOf{})
			<-ended
			return "new", ctx.Err()
		})
		if value != "old" || err != nil {
			t.Fatalf("got %v, %v", value, err)
		}
		if trace := <-begun; trace != "trace 7" {
			t.Errorf("the refresh has %v", trace)
		}
		end()
		close(ended)
		until(t, "the refresh is stored", func() bool { return s.command(t, "CACHE.GET", "k").([]any)[1] == `"new"` })
	})
}

func TestNothingRunsAfterClose(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Lease(time.Minute))
		before := runtime.NumGoroutine() // making it has started none, but the application's client its own
		for _, key := range []string{"a", "b"} {
			if _, err := corral.GetOrBuild(context.Background(), cache, key, give("v")); err != nil {
				t.Fatal(err)
			}
		}
		cache.Close()
		until(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
		until(t, "its connections are closed", func() bool { return s.figure(t, "clients", "connected_clients") == "1" })
	})
}
