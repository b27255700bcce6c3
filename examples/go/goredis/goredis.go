// Package goredis: parked calls have a pool of their own, so that waiters cannot use up the connections that the holder
// needs to fill.
package goredis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"corral-examples/corral"
)

type transport struct {
	client, parked *redis.Client
	block          time.Duration
}

func Connect(address string, block time.Duration, mostParked int, times corral.Times) *corral.Corral {
	parked := redis.NewClient(&redis.Options{
		Addr:        address,
		PoolSize:    mostParked,
		PoolTimeout: block + 3*time.Second, // more callers than connections queue for one, held for BLOCK at most
		ReadTimeout: block + 3*time.Second, // 3 s by default, whatever the BLOCK
		MaxRetries:  -1,                    // each retry would ask for a lease that nobody hears of if it is lost as well

		ContextTimeoutEnabled: true,
	})
	client := redis.NewClient(&redis.Options{Addr: address})
	return &corral.Corral{Transport: transport{client, parked, block}, Times: times}
}

func (t transport) Call(ctx context.Context, command string, args ...any) (any, error) {
	reply, err := t.client.Do(ctx, append([]any{command}, args...)...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return reply, err
}

func (t transport) GetOrLock(ctx context.Context, key string, lease time.Duration) (any, error) {
	return t.parked.Do(ctx, "CACHE.GETORLOCK", key, "LEASE", lease.Milliseconds(), "BLOCK", t.block.Milliseconds()).Result()
}

func (t transport) Watch(context.Context, string) (corral.Watch, error) {
	return corral.AskAgainSoon{}, nil
}
