package corral_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"corral.example/corral-cache"
)

// unprintable is what `var err *unprintable; return err` gives by mistake.
type unprintable struct{ text string }

func (e *unprintable) Error() string { return e.text }

func TestAnErrorThatCannotBePrintedIsAFailedBuild(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Lease(5*time.Minute), corral.Backoff(time.Minute))
		for key, unsaid := range map[string]error{"a nil error of a type": (*unprintable)(nil), "no text": errors.New("\xff")} {
			r := answer(t, begin(func() (string, error) {
				return corral.GetOrBuild(context.Background(), cache, key, func(context.Context) (string, error) { return "", unsaid })
			}))
			if r.err != unsaid || r.panicked != nil {
				t.Errorf("%s: the builder's caller got %v", key, r.panicked)
			}
			s.noLeases(t)
			var failed *corral.BuildFailed
			if _, err := corral.GetOrBuild(context.Background(), cache, key, give("again")); !errors.As(err, &failed) || failed.Message == "" {
				t.Errorf("%s: the next caller got %v", key, err)
			}
		}
	})
}

type panickingHandler struct{ slog.Handler }

func (panickingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (panickingHandler) Handle(context.Context, slog.Record) error { panic("in the log handler") }

func TestAHookThatPanicsIsNobodysErrorAndHoldsNoLease(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Lease(5*time.Minute), corral.SWR(time.Minute), corral.Logger(slog.New(panickingHandler{})),
			corral.OnEvent(func(context.Context, corral.Event) { panic("in the event hook") }))
		get := func(own string) result[string] {
			t.Helper()
			return answer(t, begin(func() (string, error) { return corral.GetOrBuild(context.Background(), cache, "k", give(own)) }))
		}
		for _, moment := range []string{"a build", "a hit"} {
			if r := get("v"); r.value != "v" || r.err != nil || r.panicked != nil {
				t.Errorf("%s gave %v", moment, r)
			}
		}
		s.command(t, "CACHE.SET", "k", `"old"`, "PX", 1, "SWR", 60_000)
		until(t, "the value is stale", func() bool { return s.command(t, "CACHE.GET", "k").([]any)[0] == "STALE" })
		if r := get("new"); r.value != "old" || r.panicked != nil {
			t.Errorf("a stale value gave %v", r)
		}
		until(t, "it was refreshed", func() bool { return s.command(t, "CACHE.GET", "k").([]any)[1] == `"new"` })
		s.noLeases(t)
	})
}

func TestAHookThatEndsItsGoroutineLeavesNoLeaseBehind(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Lease(5*time.Minute), corral.OnEvent(func(_ context.Context, e corral.Event) {
			if e.Name == "built" {
				runtime.Goexit()
			}
		}))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = corral.GetOrBuild(context.Background(), cache, "k", give("v"))
		}()
		<-ended
		s.noLeases(t)
	})
}

func TestABackgroundHookThatPanicsForgetsOrRepeatsTakesNobodysPlace(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		var kept func()
		hooks := map[string]func(func()){
			"panics":  func(func()) { panic("no worker") },
			"forgets": func(refresh func()) { kept = refresh },
			"repeats": func(refresh func()) { refresh(); refresh() },
		}
		var doing string
		var builds atomic.Int32
		cache := open(corral.BackgroundLimit(1), corral.Lease(300*time.Millisecond), corral.Backoff(0),
			corral.Background(func(refresh func()) { hooks[doing](refresh) }))
		refreshed := func() bool {
			value, err := corral.GetOrBuild(context.Background(), cache, "k", func(context.Context) (string, error) {
				builds.Add(1)
				return "new", nil
			})
			return value == "new" && err == nil
		}
		for _, doing = range []string{"panics", "forgets"} {
			s.command(t, "CACHE.SET", "k", `"old"`, "PX", 1, "SWR", 60_000)
			until(t, "the value is stale", func() bool { return s.command(t, "CACHE.GET", "k").([]any)[0] == "STALE" })
			if r := answer(t, begin(func() (bool, error) { return refreshed(), nil })); r.value || r.panicked != nil {
				t.Errorf("a hook that %s: %v", doing, r)
			}
		}
		doing = "repeats"
		until(t, "there is a place for a refresh again", refreshed)
		kept()
		if count := builds.Load(); count != 1 {
			t.Errorf("built %d times: what was forgotten came too late", count)
		}
		answer(t, begin(func() (any, error) { cache.Close(); return nil, nil }))
	})
}

func TestAGoroutineThatABuildBeganMayAskForTheKeyAfterIt(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.TTL(time.Minute))
		over := make(chan struct{})
		var outlives <-chan result[string]
		_, err := corral.GetOrBuild(context.Background(), cache, "k", func(ctx context.Context) (string, error) {
			if _, err := corral.GetOrBuild(ctx, cache, "k", give("v")); !errors.Is(err, corral.ErrRecursiveBuild) {
				t.Errorf("within the build: %v", err)
			}
			outlives = begin(func() (string, error) {
				<-over
				return corral.GetOrBuild(ctx, cache, "k", give("own"))
			})
			return "v", nil
		})
		if err != nil {
			t.Fatal(err)
		}
		close(over)
		if r := answer(t, outlives); r.value != "v" || r.err != nil {
			t.Errorf("after it: %v", r)
		}
	})
}
