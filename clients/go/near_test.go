package corral_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"corral.example/corral-cache"
	"corral.example/corral-cache/rueidiscorral"
)

func TestAPushDropsALocalCopyThatWouldLiveAnHour(t *testing.T) {
	s := startServer(t)
	cache, err := rueidiscorral.New(rueidis.ClientOption{InitAddress: []string{s.address}}, corral.Local(100), corral.LocalTTL(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	get := func() int {
		value, err := corral.GetOrBuild(context.Background(), cache, "k", func(context.Context) (int, error) { return 0, nil })
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	for round := 1; round <= 3; round++ {
		s.command(t, "CACHE.SET", "k", round)
		until(t, "the new value is seen", func() bool { return get() == round })
		before := s.calls(t, "CACHE.GET") + s.calls(t, "CACHE.GETORLOCK")
		for range 10 {
			get()
		}
		if asked := s.calls(t, "CACHE.GET") + s.calls(t, "CACHE.GETORLOCK") - before; asked > 1 {
			t.Errorf("ten hits of a local copy asked the server %d times", asked)
		}
	}
	// What changed while nothing was heard is not known: after a loss, nothing is served from here.
	s.command(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	s.command(t, "CACHE.SET", "k", 9)
	until(t, "the value set without a connection is seen", func() bool { return get() == 9 })
}

func TestLocalCopiesAreBoundedInNumber(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Local(2), corral.LocalTTL(time.Hour))
		get := func(key string) {
			t.Helper()
			if _, err := corral.GetOrBuild(context.Background(), cache, key, give("v")); err != nil {
				t.Fatal(err)
			}
		}
		asked := func() int { return s.calls(t, "CACHE.GETORLOCK") + s.calls(t, "CACHE.GET") }
		for _, key := range []string{"a", "b", "c"} {
			s.command(t, "CACHE.SET", key, `"v"`) // not built here: of what it fills itself it may be told later
			get(key)
		}
		before := asked()
		get("b")
		get("c")
		if asked() != before {
			t.Error("the two that were used last were asked for")
		}
		get("a")
		if asked() == before {
			t.Error("a third was kept")
		}
	})
}
