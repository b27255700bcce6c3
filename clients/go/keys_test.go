package corral_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"corral.example/corral-cache"
	"corral.example/corral-cache/goredis"
	"corral.example/corral-cache/rueidiscorral"
)

// nowhere is a Cache over a server that is not there: making one talks to none.
func nowhere(t *testing.T, options ...corral.CacheOption) (*corral.Cache, error) {
	t.Helper()
	return goredis.New(redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}), options...)
}

type city string

func TestKeysAreMadeOfTheArgument(t *testing.T) {
	cache, err := nowhere(t)
	if err != nil {
		t.Fatal(err)
	}
	type page struct {
		City city
		At   time.Time
		Page uint8
		Raw  any
		note string // unexported: not part of the key
	}
	whole := corral.Cached(cache, "page:{city}:{Page}:{at}:{raw}", func(context.Context, page) (int, error) { return 0, nil })
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, one := range []struct {
		argument page
		key      string
	}{
		{page{"Basel", at, 3, 1.5, "x"}, "page:Basel:3:2026-01-02T03%3A04%3A05Z:1.5"},
		{page{"a:b", at, 0, true, ""}, "page:a%3Ab:0:2026-01-02T03%3A04%3A05Z:true"},
		{page{"100%", at, 0, int8(-4), ""}, "page:100%25:0:2026-01-02T03%3A04%3A05Z:-4"},
	} {
		if key, err := whole.Key(one.argument); key != one.key || err != nil {
			t.Errorf("%v: %q, %v", one.argument, key, err)
		}
	}
	for _, refused := range []any{nil, math.NaN(), []int{1}, map[string]int{}, &page{}} {
		if _, err := whole.Key(page{Raw: refused}); !errors.Is(err, corral.ErrUsage) || !strings.Contains(err.Error(), "{raw}") {
			t.Errorf("%v: %v", refused, err)
		}
	}
	single := corral.Cached(cache, "user:{id}", func(context.Context, int) (int, error) { return 0, nil })
	if key, err := single.Key(7); key != "user:7" || err != nil {
		t.Errorf("%q, %v", key, err)
	}
}

func TestWrongTemplatesPanicAtOnce(t *testing.T) {
	cache, err := nowhere(t)
	if err != nil {
		t.Fatal(err)
	}
	type report struct{ Day, Kind string }
	define := func(template string, options ...corral.Option) func() {
		return func() {
			corral.Cached(cache, template, func(context.Context, report) (int, error) { return 0, nil }, options...)
		}
	}
	for name, one := range map[string]struct {
		define func()
		names  string
	}{
		"a name that is no field":   {define("r:{day}:{kind}:{week}"), "week"},
		"a field that is not named": {define("r:{day}"), "Kind"},
		"an empty name":             {define("r:{}"), "missing"},
		"a name that does not end":  {define("r:{day"), "missing"},
		"a tag's name of no field":  {define("r:{day}:{kind}", corral.Tags("days", "week:{week}")), "week"},
		"an option that cannot be":  {define("r:{day}:{kind}", corral.TTL(-time.Second)), "TTL"},
		"a text without its one name": {func() {
			corral.Cached(cache, "user", func(context.Context, int) (int, error) { return 0, nil })
		}, "names nothing"},
		"a tag's name that the key does not know": {func() {
			corral.Cached(cache, "user:{id}", func(context.Context, int) (int, error) { return 0, nil }, corral.Tags("user:{name}"))
		}, "{name}"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				err, _ := recover().(error)
				if !errors.Is(err, corral.ErrUsage) || !strings.Contains(err.Error(), one.names) {
					t.Errorf("panicked with %v", err)
				}
			}()
			one.define()
		})
	}
}

func TestWrongOptionsAreErrorsThatNameThem(t *testing.T) {
	for name, option := range map[string]corral.CacheOption{
		"TTL": corral.TTL(0), "SWR": corral.SWR(-1), "Jitter": corral.Jitter(101), "Early": corral.Early(math.NaN()), "Lease": corral.Lease(0),
		"DegradeLimit": corral.DegradeLimit(0), "MaxWaiting": corral.MaxWaiting(-1), "ReadTimeout": corral.ReadTimeout(0),
		"Serializer": corral.Serializer(nil), "Wait": corral.Wait(-1), "LocalTTL": corral.LocalTTL(-1), "Local": corral.Local(-1),
	} {
		if _, err := nowhere(t, option); !errors.Is(err, corral.ErrUsage) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	day := 24*time.Hour + 1
	for text, option := range map[string]corral.CacheOption{
		"24h": corral.Lease(day), "most 24h": corral.Backoff(day), "at most 24h": corral.ReadTimeout(day), "Logger": corral.Logger(nil),
		"TTLOf": corral.TTLOf[string](nil), "TagsOf": corral.TagsOf[string](nil), "VersionOf": corral.VersionOf[string](nil),
		"1 to 255": corral.Tags(""), "256": corral.Tags(strings.Repeat("x", 256)), "33": corral.Tags(make([]string, 33)...),
		"not -1": corral.Version(-1), "2^53": corral.Version(1 << 53), "nil": nil,
	} {
		if _, err := nowhere(t, option); !errors.Is(err, corral.ErrUsage) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	cache, err := nowhere(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := corral.GetOrBuild(context.Background(), cache, "k", give("v"), nil); !errors.Is(err, corral.ErrUsage) {
		t.Errorf("no option: %v", err)
	}
	if _, err := goredis.New(redis.NewClusterClient(&redis.ClusterOptions{})); !errors.Is(err, corral.ErrUsage) {
		t.Errorf("a cluster without addresses: %v", err)
	}
	if _, err := goredis.New(redis.NewRing(&redis.RingOptions{})); !errors.Is(err, corral.ErrUsage) {
		t.Errorf("a Ring: %v", err)
	}
	if _, err := rueidiscorral.New(rueidis.ClientOption{}); !errors.Is(err, corral.ErrUsage) {
		t.Errorf("no address: %v", err)
	}
	for _, open := range []func(string, ...corral.CacheOption) (*corral.Cache, error){goredis.Open, rueidiscorral.Open} {
		if _, err := open("http://127.0.0.1"); !errors.Is(err, corral.ErrUsage) {
			t.Errorf("no URL of a server: %v", err)
		}
	}
}

func TestAKeyMayHaveAnyBytesAndIsNoOtherKeysFlight(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		cache := open(corral.TTL(time.Minute))
		begun, gate := make(chan struct{}), make(chan struct{})
		forces := begin(func() (string, error) {
			return corral.Refresh(context.Background(), cache, "k", func(context.Context) (string, error) {
				close(begun)
				<-gate
				return "k's", nil
			})
		})
		<-begun
		for _, key := range []string{"\x00force k", "\x00nostale k", "", "\x00", "\xff{", strings.Repeat("x", 1<<20)} {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if value, err := corral.GetOrBuild(ctx, cache, key, give("own")); value != "own" || err != nil {
				t.Errorf("%.20q gave %v, %v", key, value, err)
			}
			cancel()
		}
		close(gate)
		answer(t, forces)
	})
}

func TestCodecsGiveBackWhatTheyWereGiven(t *testing.T) {
	type value struct {
		Name string
		At   time.Time
		Next *value
	}
	given := value{"a", time.Unix(7, 0).UTC(), &value{Name: "b"}}
	for _, codec := range []corral.Codec{corral.JSON, corral.Gob} {
		data, err := codec.Encode(given)
		if err != nil {
			t.Fatal(err)
		}
		var read value
		if err := codec.Decode(data, &read); err != nil || read.Name != "a" || !read.At.Equal(given.At) || read.Next.Name != "b" {
			t.Errorf("%T gave %v, %v", codec, read, err)
		}
	}
	for _, wrong := range []any{7, nil, given} {
		if _, err := corral.Bytes.Encode(wrong); err == nil {
			t.Errorf("Bytes took %v", wrong)
		}
	}
	var number int
	if err := corral.Bytes.Decode([]byte("7"), &number); err == nil {
		t.Error("Bytes gave an int")
	}
}
