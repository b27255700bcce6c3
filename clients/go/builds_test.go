package corral_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"corral.example/corral-cache"
)

// events is what a hook was told.
type events struct {
	mu   sync.Mutex
	seen []corral.Event
}

func (e *events) hook() corral.CacheOption {
	return corral.OnEvent(func(_ context.Context, event corral.Event) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.seen = append(e.seen, event)
	})
}

func (e *events) has(name, text string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.seen {
		if event.Name == name && (text == "" || event.Err != nil && strings.Contains(event.Err.Error(), text)) {
			return true
		}
	}
	return false
}

func TestAPanicGoesOnInItsCallerAndEndsTheLeaseAtOnce(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Lease(300*time.Millisecond), corral.Backoff(time.Minute))
		begun, gate := make(chan struct{}), make(chan struct{})
		panics := begin(func() (string, error) {
			return corral.GetOrBuild(context.Background(), cache, "k", func(context.Context) (string, error) {
				close(begun)
				<-gate
				panic("no such table")
			})
		})
		<-begun
		other := begin(func() (string, error) { return corral.GetOrBuild(context.Background(), cache, "k", give("own")) })
		until(t, "the lease was renewed", func() bool { return s.calls(t, "CACHE.RENEW") >= 4 })
		close(gate)
		if r := answer(t, panics); r.panicked != "no such table" {
			t.Errorf("the builder's caller got %v", r)
		}
		var failed *corral.BuildFailed
		if r := answer(t, other); !errors.As(r.err, &failed) || !strings.Contains(failed.Message, "no such table") || failed.RetryAfter <= 0 {
			t.Errorf("the other caller got %v", r)
		}
		s.noLeases(t)
		renewals := s.calls(t, "CACHE.RENEW")
		s.command(t, "CACHE.GETORLOCK", "other", "LEASE", 1500)
		until(t, "five leases' time has passed", func() bool { return len(s.command(t, "CACHE.LEASES").([]any)) == 0 })
		if now := s.calls(t, "CACHE.RENEW"); now != renewals {
			t.Errorf("renewed %d times after the build had ended", now-renewals)
		}
	})
}

func TestAPanicInARefreshEndsNoProcess(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		var seen events
		cache := open(corral.Backoff(time.Minute), seen.hook())
		s.command(t, "CACHE.SET", "k", `"old"`, "PX", 1, "SWR", 60_000)
		until(t, "the value is stale", func() bool { return s.command(t, "CACHE.GET", "k").([]any)[0] == "STALE" })
		value, err := corral.GetOrBuild(context.Background(), cache, "k", func(context.Context) (string, error) { panic("in a refresh") })
		if value != "old" || err != nil {
			t.Fatalf("got %v, %v", value, err)
		}
		until(t, "it was told", func() bool { return seen.has("refresh", "") && seen.has("failed", "in a refresh") })
		s.noLeases(t)
		if message := s.command(t, "CACHE.INFO", "k").([]any); !strings.Contains(strings.ToLower(textOf(message)), "in a refresh") {
			t.Errorf("the server was told %v", message)
		}
	})
}

func textOf(list []any) string {
	var words []string
	for _, one := range list {
		if word, ok := one.(string); ok {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

func TestABuildThatEndsItsGoroutineReleasesItsLease(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Lease(5 * time.Minute))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = corral.GetOrBuild(context.Background(), cache, "k", func(context.Context) (string, error) {
				runtime.Goexit()
				return "", nil
			})
		}()
		<-ended
		if value, err := corral.GetOrBuild(context.Background(), cache, "k", give("next")); value != "next" || err != nil {
			t.Errorf("the next caller got %v, %v", value, err)
		}
	})
}

// The longest that go-redis and rueidis wait for an answer as the test's clients are made is 100 ms, and go-redis would
// then send it nine times more. Three slices of 2 s are parked meanwhile.
func TestTheLibrarysOwnTimeOutsDoNotBite(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Wait(time.Minute))
		token := s.lock(t, "k")
		waits := begin(func() (string, error) { return corral.GetOrBuild(context.Background(), cache, "k", give("own")) })
		until(t, "three slices were parked", func() bool { return s.figure(t, "corral", "corral_waiters_timed_out") == "3" })
		s.command(t, "CACHE.FILL", "k", token, `"theirs"`)
		if r := answer(t, waits); r.value != "theirs" {
			t.Errorf("got %v", r)
		}
		// The test's lock, the probe of the user's rights, the first question, and four parked ones.
		if sent := s.calls(t, "CACHE.GETORLOCK"); sent > 7 {
			t.Errorf("GETORLOCK was sent %d times", sent)
		}
	})
}

// A group may set a time to block for those who do not say one. Over a connection that others share it would stall them all.
func TestAGroupsOwnBlockTimeParksNobodyElse(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		s.command(t, "CONFIG", "SET", "corral.groups", "reports block-ms 60000")
		cache := open(corral.Wait(time.Minute), corral.Degrade(false))
		token := s.lock(t, "k")
		waits := begin(func() (string, error) {
			return corral.GetOrBuild(context.Background(), cache, "k", give("own"), corral.Group("reports"))
		})
		s.waiters(t, 1)
		for range 20 { // more than there are shared connections
			if _, err := corral.GetOrBuild(context.Background(), cache, "other", give("v")); err != nil {
				t.Fatal(err)
			}
		}
		s.command(t, "CACHE.FILL", "k", token, `"theirs"`)
		if r := answer(t, waits); r.value != "theirs" {
			t.Errorf("got %v", r)
		}
	})
}

func TestTheServerSeesAKilledConnectionAndTheValueIsStillStored(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Lease(5 * time.Minute))
		begun, gate := make(chan struct{}), make(chan struct{})
		builds := begin(func() (string, error) {
			return corral.GetOrBuild(context.Background(), cache, "k", func(context.Context) (string, error) {
				close(begun)
				<-gate
				return "v", nil
			})
		})
		<-begun
		s.command(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		s.noLeases(t)
		close(gate)
		if r := answer(t, builds); r.value != "v" || r.err != nil {
			t.Errorf("got %v", r)
		}
		if stored := s.command(t, "CACHE.GET", "k").([]any); stored[1] != `"v"` {
			t.Errorf("the server has %v", stored)
		}
	})
}

// The server would refuse the FILL as it stands, and that of every next builder.
func TestTagsAndVersionsOfTheValueThatTheServerWouldRefuseAreTheBuildsError(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Backoff(time.Minute))
		for key, wrong := range map[string]corral.Option{
			"no text":     corral.TagsOf(func(string) []string { return []string{""} }),
			"255":         corral.TagsOf(func(string) []string { return []string{strings.Repeat("x", 256)} }),
			"32 tags":     corral.TagsOf(func(string) []string { return strings.Split(strings.Repeat("x ", 33), " ") }),
			"not -1":      corral.VersionOf(func(string) int64 { return -1 }),
			"2^53-1, not": corral.VersionOf(func(string) int64 { return 1 << 53 }),
		} {
			if value, err := corral.GetOrBuild(context.Background(), cache, key, give("v"), wrong); !errors.Is(err, corral.ErrUsage) {
				t.Errorf("%s: the builder got %v, %v", key, value, err)
			}
			var failed *corral.BuildFailed
			if _, err := corral.GetOrBuild(context.Background(), cache, key, give("again"), wrong); !errors.As(err, &failed) {
				t.Errorf("%s: the next caller got %v", key, err)
			}
		}
	})
}

// enormous encodes into what no memory is spent on, for nobody writes to it.
type enormous struct{ corral.Codec }

func (enormous) Encode(any) ([]byte, error) { return make([]byte, 512<<20+1), nil }

// For a text so long the server closes the connection, and every next builder's, as if it were gone.
func TestAValueTooLargeForTheServerIsTheBuildsErrorAndNoOutage(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.Backoff(time.Minute), corral.Degrade(false))
		if _, err := corral.GetOrBuild(context.Background(), cache, "k", give("v"), corral.Serializer(enormous{corral.JSON})); !errors.Is(err, corral.ErrUsage) {
			t.Errorf("the builder got %v", err)
		}
		var failed *corral.BuildFailed
		if _, err := corral.GetOrBuild(context.Background(), cache, "k", give("again")); !errors.As(err, &failed) {
			t.Errorf("the next caller got %v", err)
		}
		bytes := make([]byte, 512<<20+1)
		if _, err := corral.GetOrBuild(context.Background(), cache, unsafe.String(&bytes[0], len(bytes)), give("v")); !errors.Is(err, corral.ErrUsage) {
			t.Errorf("such a key gave %v", err)
		}
		if value, err := corral.GetOrBuild(context.Background(), cache, "other", give("v")); value != "v" || err != nil {
			t.Errorf("another key gave %v, %v", value, err)
		}
	})
}

func TestTheBackgroundHookRunsRefreshesAndALimitLeavesThemToALaterCaller(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		queue := make(chan func(), 1)
		cache := open(corral.BackgroundLimit(1), corral.Background(func(refresh func()) { queue <- refresh }))
		for _, key := range []string{"a", "b"} {
			s.command(t, "CACHE.SET", key, `"old"`, "PX", 1, "SWR", 60_000)
			until(t, "the value is stale", func() bool { return s.command(t, "CACHE.GET", key).([]any)[0] == "STALE" })
			if value, err := corral.GetOrBuild(context.Background(), cache, key, give("new")); value != "old" || err != nil {
				t.Fatalf("got %v, %v", value, err)
			}
		}
		until(t, "the second lease was released", func() bool { return len(s.command(t, "CACHE.LEASES").([]any)) == 1 })
		(<-queue)()
		if stored := s.command(t, "CACHE.GET", "a").([]any); stored[1] != `"new"` {
			t.Errorf("the server has %v", stored)
		}
	})
}

func TestOptionsCanBeReadOffTheValue(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		type post struct {
			Author   string
			Revision int64
		}
		cache := open()
		options := []corral.Option{
			corral.TTLOf(func(p post) time.Duration { return time.Duration(p.Revision) * time.Hour }),
			corral.TagsOf(func(p post) []string { return []string{"author:" + p.Author} }),
			corral.VersionOf(func(p post) int64 { return p.Revision }),
		}
		build := func(context.Context) (post, error) { return post{"ada", 3}, nil }
		if _, err := corral.GetOrBuild(context.Background(), cache, "k", build, options...); err != nil {
			t.Fatal(err)
		}
		info := textOf(s.command(t, "CACHE.INFO", "k").([]any))
		if !strings.Contains(info, "tags") || s.command(t, "CACHE.OUTDATE", "k", 0) != int64(3) && !strings.Contains(info, "version") {
			t.Errorf("the server has %v", info)
		}
		if err := cache.InvalidateTagsSWR(context.Background(), 0, "author:ada"); err != nil {
			t.Fatal(err)
		}
		if stored := s.command(t, "CACHE.GET", "k").([]any); stored[0] != "MISS" {
			t.Errorf("after its tag was invalidated the server has %v", stored)
		}
		// What a build of another type gave is an error, and no panic.
		wrong := corral.TTLOf(func(int) time.Duration { return time.Hour })
		if _, err := corral.GetOrBuild(context.Background(), cache, "other", give("text"), wrong); err == nil || !strings.Contains(err.Error(), "TTLOf") {
			t.Errorf("a TTLOf of another type gave %v", err)
		}
	})
}

func TestTagsAreMadeOfTheArgumentAsItIs(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		ctx := context.Background()
		cache := open(corral.Tags("{all}"))
		build := func(_ context.Context, name string) (string, error) { return name, nil }
		state := func(key string) any { return s.command(t, "CACHE.GET", key).([]any)[0] }
		user := corral.Cached(cache, "user:{name}", build, corral.Tags("user:{name}", "users"))
		for _, key := range []string{"a:b", "c"} {
			if value, err := user.Get(ctx, key); value != key || err != nil {
				t.Fatalf("%q, %v", value, err)
			}
		}
		if err := cache.InvalidateTagsSWR(ctx, 0, "user:a:b"); err != nil {
			t.Fatal(err)
		}
		if state("user:a%3Ab") != "MISS" || state("user:c") != "HIT" {
			t.Errorf("the server has %v and %v", state("user:a%3Ab"), state("user:c"))
		}
		if _, err := user.Refresh(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		if err := cache.InvalidateTagsSWR(ctx, 0, "users"); err != nil || state("user:c") != "MISS" {
			t.Errorf("%v: the server has %v", err, state("user:c"))
		}
		// Those of all calls, of one call and of a key that a function makes are nobody's template.
		byDefault := corral.Cached(cache, "default:{name}", build)
		by := corral.CachedBy(cache, func(name string) (string, error) { return "by:" + name, nil }, build, corral.Tags("{all}"))
		_, first := byDefault.Get(ctx, "c")
		_, second := by.Get(ctx, "c")
		_, third := corral.GetOrBuild(ctx, cache, "one", give("v"), corral.Tags("{all}"))
		if err := errors.Join(first, second, third, cache.InvalidateTagsSWR(ctx, 0, "{all}")); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"default:c", "by:c", "one"} {
			if state(key) != "MISS" {
				t.Errorf("the server has %s: %v", key, state(key))
			}
		}
	})
}
