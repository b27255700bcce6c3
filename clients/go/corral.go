// Package corral is a cache without stampedes: of all processes that ask for a value that is not there, one builds it, and
// the others wait in the server and have it at the same moment. It talks to Corral, a module for Redis and Valkey.
//
// One question, CACHE.GETORLOCK, is answered with the value, with a lease to build it, or by waiting for whoever has the
// lease. Files: corral.go what a caller gets; flight.go callers of one process that share one question; conversation.go
// that question; lease.go and build.go what a holder does and owes; servers.go and server.go where questions go, and
// outages; packages goredis and rueidiscorral the two libraries.
package corral

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// waitWorthTelling is the same in every package: what is shorter may be a busy machine's.
const waitWorthTelling = 10 * time.Millisecond

// Cache is the object that applications use, with GetOrBuild, Refresh and Cached. It is safe for many goroutines.
type Cache struct {
	settings settings
	servers  *servers
	flights  *flights
	near     *near // nil without Local
	usual    *plan // of a call that says nothing

	module atomic.Pointer[module]
	asking sync.Mutex

	degraded   chan struct{} // places of builds without a server
	refreshing chan struct{} // places of refreshes
	behind     sync.WaitGroup
}

// New talks to no server yet. Its client comes from package goredis or rueidiscorral, which have a New of their own.
func New(client Client, options ...CacheOption) (*Cache, error) {
	s := defaults()
	for _, option := range options {
		if option == nil {
			s.refuse("an option is nil")
			break
		}
		option.applyTo(&s)
	}
	if s.plan.err != nil {
		return nil, s.plan.err
	}
	s.log = slog.New(unfailing{s.log.Handler()})
	c := &Cache{
		settings: s, flights: newFlights(), usual: s.plan.with(false, nil),
		degraded: make(chan struct{}, s.degradeLimit), refreshing: make(chan struct{}, s.backgroundLimit),
	}
	node := NodeSettings{ReadTimeout: s.readTimeout}
	if s.local > 0 {
		c.near = newNear(s.local)
		node.Heard = c.near.drop
	}
	c.servers = newServers(client, node, s.log)
	return c, nil
}

// Close waits for refreshes under way, and closes the connections. The client is the application's to close.
func (c *Cache) Close() {
	c.behind.Wait()
	c.servers.close()
}

// GetOrBuild is the value of the key; if there is none, one caller of all processes builds it, and the others wait for
// that. The build runs in its caller's goroutine, and is to ask for other keys with the context that it is given.
func GetOrBuild[T any](ctx context.Context, c *Cache, key string, build func(context.Context) (T, error), options ...Option) (T, error) {
	p := c.usual
	if len(options) > 0 {
		p = c.settings.plan.with(false, options)
	}
	return get(ctx, c, key, p, build)
}

// Refresh builds although the value is fresh; the others keep getting the old one meanwhile.
func Refresh[T any](ctx context.Context, c *Cache, key string, build func(context.Context) (T, error), options ...Option) (T, error) {
	return get(ctx, c, key, c.settings.plan.with(true, options), build)
}

func get[T any](ctx context.Context, c *Cache, key string, p *plan, build func(context.Context) (T, error)) (T, error) {
	var own T // of a build that is not shared
	var none T
	if p.err != nil {
		return none, p.err
	}
	made, err := c.get(ctx, key, p, func(ctx context.Context) (product, error) {
		value, err := build(ctx)
		if errors.Is(err, NotShared) {
			own = value
			return product{private: true}, nil
		}
		if err != nil {
			return product{}, err
		}
		data, err := p.codec.Encode(value)
		if err == nil {
			err = checkedSize("an encoded value", len(data))
		}
		if err != nil {
			return product{}, err
		}
		options, err := p.fillOptions(value)
		return product{data: data, options: options}, err
	})
	if err != nil {
		return none, err
	}
	if made.private {
		return own, nil
	}
	// Everybody decodes a copy of his own, the builder too: nobody shares an object with anybody.
	var value T
	err = p.codec.Decode(made.data, &value)
	return value, err
}

func (c *Cache) get(ctx context.Context, key string, p *plan, build func(context.Context) (product, error)) (product, error) {
	if err := ctx.Err(); err != nil {
		return product{}, err
	}
	if err := checkedSize("a key", len(key)); err != nil {
		return product{}, err
	}
	for outer := enclosing(ctx); outer != nil; outer = outer.next() {
		if outer.cache == c && outer.key == key {
			return product{}, fmt.Errorf("%w: %q", ErrRecursiveBuild, key)
		}
	}
	if c.near != nil && !p.force {
		if data, ok := c.near.get(key); ok {
			c.tell(ctx, Event{Name: "hit", Key: key})
			return product{data: []byte(data)}, nil
		}
	}
	began := time.Now()
	deadline := began.Add(p.wait)
	j := job{key: key, plan: p, build: build, deadline: deadline}
	for {
		o, flight := c.ask(ctx, key, p, deadline)
		if o.waited && o.kind != toBuild && o.kind != askAgain {
			if took := time.Since(began); took > waitWorthTelling {
				c.tell(ctx, Event{Name: "waited", Key: key, Duration: took})
			}
		}
		switch o.kind {
		case hasValue:
			if o.lease != nil {
				c.tell(ctx, Event{Name: "refresh", Key: key})
				j.lease, j.behind = o.lease, true
				c.refreshBehind(ctx, j)
			} else if o.stale {
				c.tell(ctx, Event{Name: "stale", Key: key})
			} else {
				c.tell(ctx, Event{Name: "hit", Key: key})
			}
			return product{data: []byte(o.data)}, nil
		case toBuild:
			if o.err != nil && c.settings.raises {
				flight.settle(outcome{kind: hasError, err: o.err})
				return product{}, o.err
			}
			j.lease, j.flight, j.outage = o.lease, flight, o.err
			defer c.dropNear(key)
			return c.do(ctx, j)
		case isPrivate:
			return c.do(ctx, j)
		case hasFailed:
			return product{}, &BuildFailed{Key: key, Message: o.message, RetryAfter: max(0, time.Until(o.retryAfter)), Cause: o.err}
		case tooLate:
			if p.buildOnTimeout {
				return c.do(ctx, j)
			}
			return product{}, c.waitedInVain(ctx, key, p)
		case hasError:
			return product{}, o.err
		case askAgain:
		}
	}
}

func (c *Cache) waitedInVain(ctx context.Context, key string, p *plan) error {
	building := ""
	for outer := enclosing(ctx); outer != nil; outer = outer.next() {
		building += fmt.Sprintf(", while building %q: do two builds ask for each other's keys?", outer.key)
	}
	return fmt.Errorf("%w: %v for somebody else's build of %q%s", ErrWaitTimeout, p.wait, key, building)
}

// Invalidate makes values stale now; builds that began before are not stored.
func (c *Cache) Invalidate(ctx context.Context, keys ...string) error {
	return c.toEach(ctx, c.servers.together(keys), func(keys []string) []string { return append([]string{"CACHE.INVALIDATE"}, keys...) })
}

// Outdate says that the source has this version of the key now: an older value is stale, and is never stored again.
func (c *Cache) Outdate(ctx context.Context, key string, version int64) error {
	return c.toEach(ctx, [][]string{{key}}, func(keys []string) []string {
		return []string{"CACHE.OUTDATE", keys[0], fmt.Sprint(version)}
	})
}

// InvalidateTags makes everything stale that carries one of the tags, on every server. It returns when all have it.
func (c *Cache) InvalidateTags(ctx context.Context, tags ...string) error {
	return c.invalidateTags(ctx, tags, nil)
}

// InvalidateTagsSWR is InvalidateTags with a limit on how long old values are served after it; 0 is not at all.
func (c *Cache) InvalidateTagsSWR(ctx context.Context, swr time.Duration, tags ...string) error {
	if swr < 0 {
		return usage("SWR takes a time of 0 or more, not %v", swr)
	}
	return c.invalidateTags(ctx, tags, []string{"SWR", fmt.Sprint(swr.Milliseconds())})
}

func (c *Cache) invalidateTags(ctx context.Context, tags, more []string) error {
	if len(tags) == 0 {
		return usage("no tag was named")
	}
	args := append(append([]string{"CACHE.INVALIDATETAG", fmt.Sprint(len(tags))}, tags...), more...)
	c.forget("", true)
	defer c.forget("", true)
	_, err := await(ctx, func() (any, error) {
		return nil, c.servers.everyMaster(ctx, c.settings.plan.wait, args...)
	})
	return c.tooOld(err, "tags")
}

// commandsAtOnce: more would queue for the library's connections for longer than it lets them.
const commandsAtOnce = 16

// toEach sends a command for each of these groups of keys, of one slot each.
func (c *Cache) toEach(ctx context.Context, groups [][]string, command func([]string) []string) error {
	var mu sync.Mutex
	failed := map[string]error{}
	var final error
	var all sync.WaitGroup
	places := make(chan struct{}, commandsAtOnce)
	for _, keys := range groups {
		for _, key := range keys {
			c.forget(key, false)
		}
		all.Add(1)
		go func() {
			defer all.Done()
			places <- struct{}{}
			defer func() { <-places }()
			if ctx.Err() != nil { // nobody waits for it any more
				return
			}
			_, err := c.servers.change(ctx, keys[0], command(keys)...)
			for _, key := range keys {
				c.forget(key, false)
			}
			if err == nil {
				return
			}
			where := c.servers.client.Where()
			if server, unknown := c.servers.of(keys[0]); unknown == nil {
				where = server.where()
			}
			mu.Lock()
			defer mu.Unlock()
			if isOutage(err) || isMoving(err) {
				failed[where] = err
			} else {
				final = err
			}
		}()
	}
	_, err := await(ctx, func() (any, error) { all.Wait(); return nil, nil })
	switch {
	case err != nil:
		return err
	case final != nil:
		return c.tooOld(final, "versions")
	case len(failed) > 0:
		return notAllAnswered(failed)
	}
	return nil
}

func (c *Cache) tooOld(err error, what string) error {
	if m := c.module.Load(); isUnknownCommand(err) && m != nil {
		return fmt.Errorf("%w: version %s has no %s", ErrUnsupported, m.version, what)
	}
	return explained(err)
}

// forget: who asks after an invalidation must not be given what was asked before it.
func (c *Cache) forget(key string, all bool) {
	if c.near != nil {
		c.near.drop(key, all)
	}
	c.flights.forget(key, all)
}

func (c *Cache) dropNear(key string) {
	if c.near != nil {
		c.near.drop(key, false)
	}
}

func (c *Cache) tell(ctx context.Context, e Event) {
	if c.settings.onEvent != nil {
		c.guarded("OnEvent", e.Key, func() { c.settings.onEvent(ctx, e) })
	}
}

// await lets a caller whose context ends go, though the libraries cannot call a question off.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	if ctx.Done() == nil {
		return f()
	}
	type result struct {
		value T
		err   error
	}
	answered := make(chan result, 1)
	go func() {
		value, err := f()
		answered <- result{value, err}
	}()
	select {
	case r := <-answered:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
