package corral_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"corral.example/corral-cache"
	"corral.example/corral-cache/goredis"
)

func TestALocalCopyOfALateAnswerDoesNotOutliveTheValue(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		way := newWay(t, s)
		s.address = way.address
		cache := open(corral.TTL(time.Minute), corral.Local(10), corral.LocalTTL(time.Hour))
		get := func(key, own string) string {
			t.Helper()
			value, err := corral.GetOrBuild(context.Background(), cache, key, give(own))
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
		s.command(t, "CACHE.SET", "first", `"the connection is there"`)
		get("first", "own")
		way.late.Store(int64(2500 * time.Millisecond))
		s.command(t, "CACHE.SET", "k", `"old"`, "PX", 2000)
		if got := get("k", "own"); got != "old" {
			t.Fatalf("the server's value is old, not %q", got)
		}
		way.late.Store(0)
		if got := get("k", "new"); got != "new" {
			t.Errorf("%q was served when the server had it no more", got)
		}
	})
}

func TestWhatChangesWhileTheConnectionBreaksIsToldAllTheSame(t *testing.T) {
	eachLibrary(t, func(t *testing.T, s *server, open opener) {
		ctx, way := context.Background(), newWay(t, s)
		s.address = way.address
		cache := open(corral.TTL(time.Minute))
		for name, change := range map[string]func(version int64) error{
			"outdated":    func(version int64) error { return cache.Outdate(ctx, "outdated", version) },
			"invalidated": func(int64) error { return cache.Invalidate(ctx, "invalidated") },
		} {
			way.refused.Store(0)
			s.command(t, "CACHE.SET", name, `"old"`, "PX", 60_000, "VERSION", 1)
			until(t, "the server was found again", func() bool {
				got, err := corral.GetOrBuild(ctx, cache, name, give("own"))
				return err == nil && got == "old"
			})
			way.breaks(3)
			if err := change(2); err != nil {
				t.Errorf("not %s: %v", name, err)
			}
			if got, err := corral.GetOrBuild(ctx, cache, name, give("new"), corral.Version(2)); got != "new" || err != nil {
				t.Errorf("%s, and served: %q, %v", name, got, err)
			}
			way.breaks(1 << 40)
			var failed *corral.NotAllAnswered
			if err := change(3); !errors.As(err, &failed) || !slices.Equal(failed.Nodes, []string{way.address}) {
				t.Errorf("no way to the server, and: %v", err)
			}
		}
	})
}

func TestAClientForOneServerSaysThatItIsANodeOfACluster(t *testing.T) {
	var nodes []*server
	var ports []string
	for _, slots := range [][]any{{0, 8191}, {8192, 16383}} {
		ports = append(ports, freePort(t))
		node := startServer(t, "--cluster-enabled", "yes", "--cluster-port", ports[len(ports)-1])
		node.command(t, append([]any{"CLUSTER", "ADDSLOTSRANGE"}, slots...)...)
		nodes = append(nodes, node)
	}
	host, port, _ := net.SplitHostPort(nodes[1].address)
	nodes[0].command(t, "CLUSTER", "MEET", host, port, ports[1])
	until(t, "the cluster is whole", func() bool {
		return strings.Contains(nodes[0].command(t, "CLUSTER", "INFO").(string), "cluster_state:ok")
	})
	cache, err := goredis.New(redis.NewClient(&redis.Options{Addr: nodes[0].address}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	for _, key := range []string{"k", "other", "third", "fourth"} { // some are elsewhere
		_, last := corral.GetOrBuild(context.Background(), cache, key, give("v"))
		if last != nil {
			err = last
		}
	}
	if !errors.Is(err, corral.ErrUsage) || !strings.Contains(err.Error(), "client for clusters") {
		t.Errorf("a key of another node gave %v", err)
	}
}
