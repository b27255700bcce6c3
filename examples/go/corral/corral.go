// Package corral holds GetOrBuild: one caller builds, everybody else gets the value. How a command is sent and how a
// caller waits is the transport's part: packages goredis and rueidiscorral.
package corral

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

type Corral struct {
	Transport
	Times
}

// Times are sent in ms. Lease is renewed while a build runs, so it need not cover the slowest. After Patience a caller
// builds for itself.
type Times struct {
	Fresh, SWR, SIE, Backoff, Lease, Patience time.Duration
}

var Default = Times{
	Fresh: time.Minute, SWR: 30 * time.Second, SIE: 5 * time.Minute, Backoff: time.Second,
	Lease: 10 * time.Second, Patience: 30 * time.Second,
}

type Transport interface {
	Call(ctx context.Context, command string, args ...any) (any, error) // nil, nil for a nil reply
	GetOrLock(ctx context.Context, key string, lease time.Duration) (any, error)
	Watch(ctx context.Context, key string) (Watch, error)
}

// Watch is on from the moment it is made: Change returns at once if something changed since.
type Watch interface {
	Change(ctx context.Context, atMost time.Duration)
	End()
}

// ErrBuildFailed: the last build failed, perhaps in another process; the message is its holder's.
type ErrBuildFailed string

func (e ErrBuildFailed) Error() string { return string(e) }

type Build func(context.Context) (string, error)

func (c *Corral) GetOrBuild(ctx context.Context, key string, build Build) (string, error) {
	patienceEnds := time.Now().Add(c.Patience)
	var watch Watch
	for {
		reply, err := c.GetOrLock(ctx, key, c.Lease)
		if err != nil {
			return "", err
		}
		triple := reply.([]any)
		value, _ := triple[1].(string)
		number := triple[2].(int64)
		switch triple[0] {
		case "HIT", "STALE":
			return value, nil
		case "REFRESH": // outlives the caller; CACHE.FAIL tells of its failure
			go c.rebuild(context.WithoutCancel(ctx), key, number, build)
			return value, nil
		case "LOCK":
			return c.rebuild(ctx, key, number, build)
		case "PASS":
			return build(ctx) // not to be shared, so not stored
		case "FAIL":
			return "", ErrBuildFailed(value)
		}
		left := time.Until(patienceEnds) // WAIT: the lease is another's
		if left <= 0 {
			return build(ctx) // not stored
		}
		if watch != nil {
			watch.Change(ctx, min(left, time.Duration(number+1)*time.Millisecond))
		} else if watch, err = c.Watch(ctx, key); err != nil {
			return "", err
		} else { // what changed before the watch was on shows in the next answer
			defer watch.End()
		}
	}
}

func (c *Corral) rebuild(ctx context.Context, key string, token int64, build Build) (string, error) {
	renewing, built := context.WithCancel(ctx)
	go c.renew(renewing, key, token)
	value, err := build(ctx)
	built()
	after := context.WithoutCancel(ctx) // a caller that gave up must not leave its lease behind
	if err != nil && ctx.Err() != nil {
		// Says nothing about the source: let the next caller try.
		_, releaseErr := c.Call(after, "CACHE.RELEASE", key, token)
		return "", errors.Join(err, releaseErr)
	}
	if err != nil {
		message := err.Error()
		message = message[:min(len(message), 1024)]
		verdict, failErr := c.Call(after, "CACHE.FAIL", key, token, message, "BACKOFF", c.Backoff.Milliseconds())
		if triple, ok := verdict.([]any); ok && triple[0] == "STALE" {
			return triple[1].(string), nil // the old value may still be served
		}
		return "", errors.Join(err, failErr)
	}
	// nil is normal: the key was invalidated, or another took over. An error (out of memory) is no reason to lose what
	// was built either.
	_, _ = c.Call(after, "CACHE.FILL", key, token, value,
		"PX", c.Fresh.Milliseconds(), "SWR", c.SWR.Milliseconds(), "SIE", c.SIE.Milliseconds())
	return value, nil
}

func (c *Corral) renew(ctx context.Context, key string, token int64) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.Lease / 3):
			_, _ = c.Call(ctx, "CACHE.RENEW", key, token, c.Lease.Milliseconds()) // tried again
		}
	}
}

// AskAgainSoon is for transports that park in the server: WAIT means that BLOCK ran out, or that nobody is parked now.
type AskAgainSoon struct{}

func (AskAgainSoon) Change(ctx context.Context, _ time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(20*time.Millisecond + rand.N(80*time.Millisecond)):
	}
}

func (AskAgainSoon) End() {}
