// Package rueidiscorral has two ways to wait: parked.go and events.go.
package rueidiscorral

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"corral-examples/corral"
)

type transport struct {
	client rueidis.Client
	block  time.Duration
}

// Connect needs one client: what is marked Blocking() gets a connection of its own, everything else shares one.
func Connect(address string, block time.Duration, mostParked int, times corral.Times) (*corral.Corral, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:      []string{address},
		BlockingPoolSize: mostParked, // more callers than that queue
	})
	return &corral.Corral{Transport: transport{client, block}, Times: times}, err
}

func (t transport) Call(ctx context.Context, command string, args ...any) (any, error) {
	arbitrary := t.client.B().Arbitrary(command).Keys(fmt.Sprint(args[0]))
	for _, arg := range args[1:] {
		arbitrary = arbitrary.Args(fmt.Sprint(arg))
	}
	reply, err := t.client.Do(ctx, arbitrary.Build()).ToAny()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return reply, err
}

func (t transport) GetOrLock(ctx context.Context, key string, lease time.Duration) (any, error) {
	return t.client.Do(ctx, t.client.B().Arbitrary("CACHE.GETORLOCK").Keys(key).
		Args("LEASE", ms(lease), "BLOCK", ms(t.block)).Blocking()).ToAny()
}

func (t transport) Watch(context.Context, string) (corral.Watch, error) {
	return corral.AskAgainSoon{}, nil
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
