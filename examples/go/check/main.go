// Runs GetOrBuild through every state against a server with Corral.
// usage: go run ./check go-redis|rueidis|rueidis-events PORT
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"corral-examples/corral"
	"corral-examples/goredis"
	"corral-examples/rueidiscorral"
)

var (
	ctx     = context.Background()
	client  = os.Args[1]
	address = "127.0.0.1:" + os.Args[2]
	raw     = redis.NewClient(&redis.Options{Addr: address})
)

func connect(block time.Duration, change func(*corral.Times)) *corral.Corral {
	times := corral.Default
	change(&times)
	var made *corral.Corral
	var err error
	switch client {
	case "go-redis":
		made = goredis.Connect(address, block, 200, times)
	case "rueidis":
		made, err = rueidiscorral.Connect(address, block, 200, times)
	case "rueidis-events":
		made, err = rueidiscorral.ConnectByEvents(address, times)
	default:
		err = errors.New("no such client: " + client)
	}
	must(err)
	return made
}

func usual() *corral.Corral { return connect(2*time.Second, func(*corral.Times) {}) }

// source is what is expensive: it counts its builds, and fails when told to.
type source struct {
	builds    atomic.Int32
	takes     time.Duration
	value     string
	fails     error
	meanwhile func()
}

func (s *source) build(context.Context) (string, error) {
	s.builds.Add(1)
	time.Sleep(max(s.takes, 200*time.Millisecond))
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return s.value, s.fails
}

// herd answers what each caller got: the value, or the error.
func herd(c *corral.Corral, key string, s *source, callers int) []string {
	got := make([]string, callers)
	var all sync.WaitGroup
	for i := range got {
		all.Add(1)
		go func() {
			defer all.Done()
			value, err := c.GetOrBuild(ctx, key, s.build)
			if got[i] = value; err != nil {
				got[i] = err.Error()
			}
		}()
	}
	all.Wait()
	return got
}

func all(n int, value string) []string { return slices.Repeat([]string{value}, n) }

func state(key string) string {
	triple := do("CACHE.GET", key).([]any)
	return fmt.Sprint(triple[0], " ", triple[1])
}

func becomes(key, wanted string) {
	for range 500 {
		if state(key) == wanted {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	panic(fmt.Sprintf("%s is %s and did not become %s", key, state(key), wanted))
}

func do(args ...any) any {
	reply, err := raw.Do(ctx, args...).Result()
	must(err)
	return reply
}

func lock(key string, lease int) any {
	return do("CACHE.GETORLOCK", key, "LEASE", lease).([]any)[2]
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func same(got, wanted any) {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		panic(fmt.Sprintf("got %v, wanted %v", got, wanted))
	}
}

var checks = []struct {
	name string
	run  func(key string)
}{
	{"a_herd_builds_once", func(key string) {
		s := &source{value: "v"}
		same(herd(usual(), key, s, 100), all(100, "v"))
		same(s.builds.Load(), 1)
	}},
	{"a_fill_elsewhere_wakes_all", func(key string) {
		// Who hears of it late finds the value gone, and builds.
		token := lock(key, 60_000)
		time.AfterFunc(300*time.Millisecond, func() { raw.Do(ctx, "CACHE.FILL", key, token, "v", "PX", 2000) })
		s := &source{value: "v"}
		patient := connect(2*time.Second, func(t *corral.Times) { t.Patience = 4 * time.Second })
		same(herd(patient, key, s, 20), all(20, "v"))
		same(s.builds.Load(), 0)
	}},
	{"a_stale_value_is_served_while_one_refreshes", func(key string) {
		do("CACHE.SET", key, "old", "PX", 1, "SWR", 60_000)
		becomes(key, "STALE old")
		s := &source{takes: time.Second, value: "new"}
		same(herd(usual(), key, s, 20), all(20, "old"))
		becomes(key, "HIT new")
		same(s.builds.Load(), 1)
	}},
	{"a_failure_reaches_all_and_leaves_no_lease", func(key string) {
		s := &source{fails: errors.New("source is down")}
		c := connect(2*time.Second, func(t *corral.Times) { t.Backoff = 1500 * time.Millisecond })
		same(herd(c, key, s, 20), all(20, "source is down"))
		same(s.builds.Load(), 1)
		same(state(key), "FAIL source is down")
		becomes(key, "MISS <nil>")
		same(herd(c, key, &source{value: "v"}, 1), all(1, "v"))
	}},
	{"a_failure_serves_the_old_value_where_there_is_one", func(key string) {
		do("CACHE.SET", key, "old", "PX", 1, "SIE", 60_000)
		becomes(key, "STALE old")
		same(herd(usual(), key, &source{fails: errors.New("source is down")}, 20), all(20, "old"))
	}},
	{"what_must_not_be_shared_is_built_by_each", func(key string) {
		do("CACHE.PASS", key, lock(key, 10_000))
		s := &source{value: "v"}
		same(herd(usual(), key, s, 10), all(10, "v"))
		same(s.builds.Load(), 10)
		same(state(key), "PASS <nil>")
	}},
	{"a_long_build_keeps_its_lease", func(key string) {
		s := &source{takes: 6500 * time.Millisecond, value: "v"}
		c := connect(2*time.Second, func(t *corral.Times) { t.Lease = 3 * time.Second })
		same(herd(c, key, s, 20), all(20, "v"))
		same(s.builds.Load(), 1)
	}},
	{"a_short_block_is_asked_again", func(key string) {
		s := &source{takes: 500 * time.Millisecond, value: "v"}
		same(herd(connect(50*time.Millisecond, func(*corral.Times) {}), key, s, 20), all(20, "v"))
		same(s.builds.Load(), 1)
	}},
	{"patience_ends_in_a_build_that_is_not_stored", func(key string) {
		token := lock(key, 60_000)
		c := connect(50*time.Millisecond, func(t *corral.Times) { t.Patience = 300 * time.Millisecond })
		same(herd(c, key, &source{value: "own"}, 1), all(1, "own"))
		same(state(key), "MISS <nil>")
		same(do("CACHE.FILL", key, token, "v"), "OK")
	}},
	{"a_void_fill_is_normal", func(key string) {
		s := &source{value: "v", meanwhile: func() { raw.Del(ctx, key) }}
		same(herd(usual(), key, s, 1), all(1, "v"))
		same(state(key), "MISS <nil>")
	}},
	{"a_dead_holder_is_succeeded", func(key string) {
		lock(key, 300)
		s := &source{value: "v"}
		same(herd(usual(), key, s, 20), all(20, "v"))
		same(s.builds.Load(), 1)
	}},
	{"a_caller_that_gives_up_leaves_no_lease", func(key string) {
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		_, err := usual().GetOrBuild(short, key, func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		same(errors.Is(err, context.DeadlineExceeded), true)
		same(herd(connect(time.Second, func(t *corral.Times) { t.Patience = time.Second }), key, &source{value: "v"}, 1), all(1, "v"))
		same(state(key), "HIT v")
	}},
}

func passes(name, key string, check func(string)) (passed bool) {
	raw.Del(ctx, key)
	defer raw.Del(ctx, key)
	defer func() {
		if why := recover(); why != nil {
			fmt.Println("FAILED", name, "-", why)
			return
		}
		passed = true
		fmt.Println("ok    ", name)
	}()
	check(key)
	return
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if strings.Contains(module.Path, strings.TrimSuffix(client, "-events")) {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "?"
}

func main() {
	passed := 0
	for _, check := range checks {
		if passes(check.name, "example:"+client+":"+check.name, check.run) {
			passed++
		}
	}
	fmt.Printf("%s %s: %d of %d\n", client, version(), passed, len(checks))
	if passed < len(checks) {
		os.Exit(1)
	}
}
