// What a hit costs beside the bare client's own GETORLOCK, and beside its GET: figures URL. Rounds of each take turns, and the figure is the
// middle one of the ratios, of the clock's time and of this process's processor time (which a busy machine blurs less).
// Nothing here can fail a test.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"corral.example/corral-cache"
	"corral.example/corral-cache/goredis"
	"corral.example/corral-cache/rueidiscorral"
)

const (
	inFlight = 200
	plainly  = "plain:" // before keys that GET reads
)

type call func(key string) (string, error)

func main() {
	if err := measure(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(url string) error {
	ctx := context.Background()
	options, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	plain := redis.NewClient(options)
	keys := make([]string, inFlight)
	for at := range keys {
		keys[at] = fmt.Sprintf("figures:%d", at)
		if err := plain.Do(ctx, "CACHE.SET", keys[at], `"value"`, "PX", 3_600_000).Err(); err != nil {
			return err
		}
		if err := plain.Set(ctx, plainly+keys[at], `"value"`, time.Hour).Err(); err != nil {
			return err
		}
	}
	option, err := rueidis.ParseURL(url)
	if err != nil {
		return err
	}
	ruei, err := rueidis.NewClient(option)
	if err != nil {
		return err
	}
	overGoRedis, err := goredis.New(plain)
	if err != nil {
		return err
	}
	overRueidis, err := rueidiscorral.New(option)
	if err != nil {
		return err
	}
	near, err := rueidiscorral.New(option, corral.Local(1000))
	if err != nil {
		return err
	}
	for _, library := range []struct {
		name      string
		bare, get call
		cache     *corral.Cache
	}{
		{"go-redis", func(key string) (string, error) {
			reply, err := plain.Do(ctx, "CACHE.GETORLOCK", key, "LEASE", "10000").Slice()
			if err != nil {
				return "", err
			}
			return decoded(reply[1].(string))
		}, func(key string) (string, error) {
			text, err := plain.Get(ctx, plainly+key).Result()
			if err != nil {
				return "", err
			}
			return decoded(text)
		}, overGoRedis},
		{"rueidis", func(key string) (string, error) {
			reply, err := ruei.Do(ctx, ruei.B().Arbitrary("CACHE.GETORLOCK").Keys(key).Args("LEASE", "10000").Build()).ToArray()
			if err != nil {
				return "", err
			}
			text, err := reply[1].ToString()
			if err != nil {
				return "", err
			}
			return decoded(text)
		}, func(key string) (string, error) {
			text, err := ruei.Do(ctx, ruei.B().Get().Key(plainly+key).Build()).ToString()
			if err != nil {
				return "", err
			}
			return decoded(text)
		}, overRueidis},
	} {
		defer library.cache.Close()
		request, end := context.WithCancel(ctx) // as every handler's is
		defer end()
		for _, flying := range []int{1, inFlight} {
			compare(library.name+", a context that cannot end", library.bare, library.get, got(ctx, library.cache), keys[:flying])
			compare(library.name+", a request's context", library.bare, library.get, got(request, library.cache), keys[:flying])
		}
	}
	local := got(ctx, near)
	if _, err := local(keys[0]); err != nil {
		return err
	}
	fmt.Printf("rueidis, local: %.0f hits/s\n", 500_000/seconds(local, keys[:1], 500_000).clock)
	near.Close()
	ruei.Close()
	return plain.Close()
}

func decoded(text string) (value string, err error) {
	err = json.Unmarshal([]byte(text), &value)
	return value, err
}

func got(ctx context.Context, cache *corral.Cache) call {
	return func(key string) (string, error) {
		return corral.GetOrBuild(ctx, cache, key, func(context.Context) (string, error) { return "built", nil })
	}
}

type spent struct{ clock, processor float64 }

func seconds(ask call, keys []string, calls int64) spent {
	used, began := processor(), time.Now()
	var left atomic.Int64
	left.Store(calls)
	var all sync.WaitGroup
	for _, key := range keys {
		all.Add(1)
		go func() {
			defer all.Done()
			for left.Add(-1) >= 0 {
				if value, err := ask(key); err != nil || value != "value" {
					panic(fmt.Sprint(value, err))
				}
			}
		}()
	}
	all.Wait()
	return spent{time.Since(began).Seconds(), processor() - used}
}

func processor() float64 {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

func compare(name string, bare, get, own call, keys []string) {
	calls := int64(500)
	if len(keys) > 1 {
		calls = 8_000
	}
	seconds(bare, keys, calls)
	seconds(get, keys, calls)
	seconds(own, keys, calls)
	var clocks, processors, toGet, times []float64
	for round := range 41 {
		var plain, gets, ours spent
		if round%2 == 0 {
			plain, gets, ours = seconds(bare, keys, calls), seconds(get, keys, calls), seconds(own, keys, calls)
		} else {
			ours, gets, plain = seconds(own, keys, calls), seconds(get, keys, calls), seconds(bare, keys, calls)
		}
		clocks = append(clocks, ours.clock/plain.clock)
		processors = append(processors, ours.processor/plain.processor)
		toGet = append(toGet, ours.clock/gets.clock)
		times = append(times, ours.clock)
	}
	fmt.Printf("%s, %d in flight: %.0f hits/s, %.2f x the time of a bare GETORLOCK, %.2f x its processor time; %.2f x the time of a GET\n",
		name, len(keys), float64(calls)/middle(times), middle(clocks), middle(processors), middle(toGet))
}

func middle(numbers []float64) float64 {
	slices.Sort(numbers)
	return numbers[len(numbers)/2]
}
