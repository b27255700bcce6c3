package corral

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// job is one build to be done.
type job struct {
	key      string
	plan     *plan
	build    func(context.Context) (product, error)
	deadline time.Time
	lease    *lease
	flight   *flight
	outage   error // why the server was not asked
	behind   bool  // nobody waits for it, so its error has to be said
}

// chain is the builds that a context is part of, innermost first. A goroutine that a build began may outlive it.
type chain struct {
	cache    *Cache
	key      string
	outer    *chain
	degraded bool // in one of the places of builds without a server
	ended    atomic.Bool
}

type chainOf struct{}

func enclosing(ctx context.Context) *chain {
	found, _ := ctx.Value(chainOf{}).(*chain)
	return found.running()
}

func (b *chain) running() *chain {
	for b != nil && b.ended.Load() {
		b = b.outer
	}
	return b
}

func (b *chain) next() *chain { return b.outer.running() }

// do runs the build in its caller's goroutine, and says to the server how it ended.
func (c *Cache) do(ctx context.Context, j job) (product, error) {
	defer j.release() // the goroutine may end anywhere (runtime.Goexit), and no lease is to stay behind, nor a flight
	if j.outage != nil {
		leave, err := c.enterDegraded(ctx, j)
		if err != nil {
			return product{}, err
		}
		defer leave()
	}
	if j.lease != nil {
		j.lease.keep()
	}
	began := time.Now()
	made, err := c.run(ctx, j)
	took := time.Since(began)
	switch {
	case err != nil && ctx.Err() != nil: // it says nothing about the source
		j.release()
		return product{}, err
	case err != nil:
		return c.failed(ctx, j, err, took)
	}
	c.tell(ctx, Event{Name: "built", Key: j.key, Duration: took})
	if made.private {
		c.say(ctx, j, "CACHE.PASS")
		j.settle(outcome{kind: isPrivate})
		return made, nil
	}
	stored := c.say(ctx, j, "CACHE.FILL", append([]string{string(made.data)}, made.options...)...)
	value := outcome{kind: hasValue, data: string(made.data)}
	if j.flight != nil {
		late := value
		if !stored { // the key was invalidated meanwhile: who joined after that must ask anew
			late = outcome{kind: askAgain}
		}
		j.flight.settleLate(value, late)
	}
	return made, nil
}

// run calls the application's function. If that panics, the others and the server are told before the panic goes on; in
// the background it becomes an error, for nothing there would catch it.
func (c *Cache) run(ctx context.Context, j job) (made product, err error) {
	began := time.Now()
	returned := false
	defer func() {
		if returned {
			return
		}
		panicked := recover()
		if panicked == nil { // runtime.Goexit, as t.FailNow does
			return
		}
		err = fmt.Errorf("panic: %v", panicked)
		if j.behind {
			stack := make([]byte, 4096)
			err = fmt.Errorf("%w\n%s", err, stack[:runtime.Stack(stack, false)])
			return
		}
		_, _ = c.failed(ctx, j, err, time.Since(began))
		panic(panicked)
	}()
	building := &chain{cache: c, key: j.key, outer: enclosing(ctx), degraded: j.outage != nil}
	defer building.ended.Store(true)
	made, err = j.build(context.WithValue(ctx, chainOf{}, building))
	returned = true
	return made, err
}

// enterDegraded waits for one of the places of builds without a server. A build inside another has that one's.
func (c *Cache) enterDegraded(ctx context.Context, j job) (leave func(), err error) {
	c.tell(ctx, Event{Name: "degraded", Key: j.key, Err: j.outage})
	for outer := enclosing(ctx); outer != nil; outer = outer.next() {
		if outer.cache == c && outer.degraded {
			return func() {}, nil
		}
	}
	timer := time.NewTimer(time.Until(j.deadline))
	defer timer.Stop()
	select {
	case c.degraded <- struct{}{}:
		return func() { <-c.degraded }, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = fmt.Errorf("%w: too many builds at once without the server, %q had no turn", ErrWaitTimeout, j.key)
	}
	j.settle(outcome{kind: askAgain})
	return nil, err
}

// failed tells the others. The caller has its own error, unless an old value serves.
func (c *Cache) failed(ctx context.Context, j job, err error, took time.Duration) (product, error) {
	c.tell(ctx, Event{Name: "failed", Key: j.key, Duration: took, Err: err})
	message := c.message(err)
	o := outcome{kind: hasFailed, message: message, retryAfter: time.Now(), err: err}
	if j.lease != nil {
		words := []string{message}
		if j.plan.backoff != nil {
			words = append(words, "BACKOFF", milliseconds(*j.plan.backoff))
		}
		reply, undelivered := j.lease.end("CACHE.FAIL", words...)
		a, unread := parsed(reply)
		switch {
		case undelivered != nil:
			c.settings.log.Warn("corral: that a build failed could not be said to the server", "key", j.key, "error", undelivered)
		case reply == nil:
			o = outcome{kind: askAgain}
		case unread == nil && a.state == "STALE":
			o = outcome{kind: hasValue, data: a.data, stale: true}
		case unread == nil:
			o.message, o.retryAfter = a.data, after(a.number)
		}
	}
	j.settle(o)
	if j.behind || o.kind == hasValue {
		c.settings.log.Error("corral: a build failed", "key", j.key, "old value served", o.kind == hasValue, "error", err)
	}
	if o.kind == hasValue {
		return product{data: []byte(o.data)}, nil
	}
	return product{}, err
}

// say is a verdict. The caller has the value whatever the server answers; that it is not stored is told.
func (c *Cache) say(ctx context.Context, j job, command string, words ...string) (stored bool) {
	if j.lease == nil {
		return true
	}
	reply, err := j.lease.end(command, words...)
	if err != nil {
		c.settings.log.Warn("corral: a value was built, but is not stored", "key", j.key, "error", err)
	}
	if err != nil || reply == nil {
		c.tell(ctx, Event{Name: "not_stored", Key: j.key, Err: err})
	}
	return err != nil || reply != nil // an error says nothing about invalidations
}

func (j job) release() {
	if j.lease != nil {
		j.lease.release()
	}
	j.settle(outcome{kind: askAgain})
}

func (j job) settle(o outcome) {
	if j.flight != nil {
		j.flight.settle(o)
	}
}

// refreshBehind builds after the caller was answered, in a context that outlives it: traces and the like go along, the
// end of the request does not.
func (c *Cache) refreshBehind(ctx context.Context, j job) {
	select {
	case c.refreshing <- struct{}{}:
	default: // left to a later caller
		go j.lease.release()
		return
	}
	ctx = context.WithValue(context.WithoutCancel(ctx), chainOf{}, (*chain)(nil)) // whoever began it does not wait for it
	c.behind.Add(1)
	leave := func() {
		<-c.refreshing
		c.behind.Done()
	}
	var begun atomic.Bool
	refresh := func() {
		if begun.Swap(true) {
			return
		}
		defer leave()
		if !j.lease.tie() { // its turn came too late: somebody else builds, or will
			return
		}
		_, _ = c.do(ctx, j) // its error is logged and told where it happened
		c.dropNear(j.key)
	}
	if j.plan.background == nil {
		go refresh()
		return
	}
	forget := func() {
		if !begun.Swap(true) {
			j.lease.release()
			leave()
		}
	}
	// Nobody renews it before it begins. A hook may never begin it; then its place is another's.
	time.AfterFunc(j.plan.lease, forget)
	c.guarded("Background", j.key, func() {
		kept := false
		defer func() {
			if !kept {
				forget()
			}
		}()
		j.plan.background(refresh)
		kept = true
	})
}

// message is what other processes see, and so may other users.
func (c *Cache) message(err error) string {
	text := fmt.Sprint(err)                        // not err.Error(), which may panic
	text, _, _ = strings.Cut(text, "\ngoroutine ") // no stacks
	if text = cut(text); text == "" || c.settings.hidesText {
		return fmt.Sprintf("%T", err)
	}
	return text
}

// cut leaves as much as the server takes for a message, in whole letters.
func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), 1024)], "")
}
