package corral_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"corral.example/corral-cache"
	"corral.example/corral-cache/goredis"
	"corral.example/corral-cache/rueidiscorral"
)

// A service may have its own calls queue for one connection. Ours are not to: one holds what another waits for.
func TestAPoolOfOneIsNoBoundForHoldersAndNoOutage(t *testing.T) {
	s := startServer(t)
	for name, open := range map[string]func(...corral.CacheOption) (*corral.Cache, error){
		"go-redis": func(options ...corral.CacheOption) (*corral.Cache, error) {
			return goredis.New(redis.NewClient(&redis.Options{Addr: s.address, PoolSize: 1}), options...)
		},
		"rueidis": func(options ...corral.CacheOption) (*corral.Cache, error) {
			return rueidiscorral.New(rueidis.ClientOption{InitAddress: []string{s.address}, BlockingPoolSize: 1}, options...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var seen events
			cache, err := open(corral.Degrade(false), corral.ReadTimeout(2*time.Second), seen.hook())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cache.Close)
			nested := begin(func() (string, error) {
				return corral.GetOrBuild(context.Background(), cache, name+"outer", func(ctx context.Context) (string, error) {
					return corral.GetOrBuild(ctx, cache, name+"inner", give("v"))
				})
			})
			if r := answer(t, nested); r.value != "v" || r.err != nil {
				t.Errorf("a build in a build gave %v", r)
			}
			keys := make([]string, 100_000)
			for at := range keys {
				keys[at] = fmt.Sprint("key ", at)
			}
			if r := answer(t, begin(func() (any, error) { return nil, cache.Invalidate(context.Background(), keys...) })); r.err != nil {
				t.Errorf("many keys were invalidated with %v", r.err)
			}
			if value, err := corral.GetOrBuild(context.Background(), cache, name+"outer", give("own")); value != "v" || err != nil {
				t.Errorf("then the cache gave %v, %v", value, err)
			}
		})
	}
}

func TestManyCallsAndManyCachesLeaveNothingRunningAndNothingOpen(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		files := func() int {
			found, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Skip("no /proc here")
			}
			return len(found)
		}
		use := func(calls int) {
			cache := open(corral.TTL(time.Minute))
			for at := range calls {
				ctx, cancel := context.WithCancel(context.Background())
				key := fmt.Sprint("k", at%100)
				var err error
				switch at % 5 {
				case 0:
					err = cache.Invalidate(ctx, key)
				case 1:
					_, err = corral.Refresh(ctx, cache, key, give("v"))
				default:
					_, err = corral.GetOrBuild(ctx, cache, key, give("v"))
				}
				cancel()
				if err != nil {
					t.Fatal(err)
				}
			}
			cache.Close()
		}
		use(100)
		goroutines, opened := runtime.NumGoroutine(), files()
		use(10_000)
		for range 100 {
			use(10)
		}
		until(t, "as few goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines+4 })
		until(t, "as few files open as before", func() bool { return files() <= opened+4 })
	})
}
