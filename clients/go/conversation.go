package corral

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// answer is what GETORLOCK says.
type answer struct {
	state  string
	data   string
	number int64
	held   *held // over which a lease was granted that is tied to it
}

func parsed(reply any) (answer, error) {
	words, ok := reply.([]any)
	if !ok || len(words) != 3 {
		return answer{}, &ServerError{fmt.Sprintf("not an answer of Corral: %v", reply)}
	}
	var a answer
	a.state, _ = words[0].(string)
	a.data, _ = words[1].(string)
	a.number, _ = words[2].(int64)
	return a, nil
}

// askOnce is the one question of a hit, over what is shared.
func (f *flight) askOnce() (any, error) {
	var more []string
	if f.plan.group != "" {
		more = []string{"BLOCK", "1"} // or a block-ms of the group would park everybody's connection
	}
	return f.cache.servers.call(context.Background(), f.key, f.question(more...)...)
}

func (f *flight) question(more ...string) []string {
	words := make([]string, 0, 2+len(f.plan.words)+len(more))
	words = append(words, "CACHE.GETORLOCK", f.key)
	return append(append(words, f.plan.words...), more...)
}

// hitOf is for who asks himself, where no near cache is to be told.
func (f *flight) hitOf(reply any) (outcome, bool) {
	a, err := parsed(reply)
	return outcome{kind: hasValue, data: a.data}, err == nil && a.state == "HIT"
}

func (f *flight) hit(a answer, tracked bool, sent time.Time) {
	c := f.cache
	if c.near != nil {
		life := time.Duration(a.number) * time.Millisecond
		if a.number < 0 {
			life = forEver
		}
		if !tracked || f.plan.hasTags() { // a tag changes what no push tells
			life = min(life, c.settings.localTTL)
		}
		c.near.put(f.key, a.data, life, f.asked, sent)
	}
	f.settle(outcome{kind: hasValue, data: a.data})
}

// run asks until there is an outcome, in a goroutine of its own: callers come and go. It may be given a first answer.
func (f *flight) run(reply any, err error) {
	err = f.converse(reply, err)
	switch {
	case err == nil:
	case isOutage(err):
		f.give(outcome{kind: toBuild, err: err})
	default:
		f.settle(outcome{kind: hasError, err: explained(err)})
	}
}

func (f *flight) converse(reply any, err error) error {
	c := f.cache
	if c.near != nil {
		f.asked = c.near.moment()
	}
	module, unknown := c.known(f.key)
	if unknown != nil {
		return unknown
	}
	if err := module.supports(f.plan); err != nil {
		return err
	}
	if reply == nil && err == nil && c.near != nil && !f.plan.force {
		if done, err := f.look(); done || err != nil {
			return err
		}
	}
	losses, parks, asked := 0, false, reply != nil || err != nil
	for {
		// An answer that came when all had left is looked at still: a grant in it has to be released.
		if !asked && f.isOver() {
			return nil
		}
		var a answer
		began := time.Now()
		switch {
		case asked && err != nil:
		case asked:
			a, err = parsed(reply)
		case parks || !module.has["cache.renew tied"]:
			a, err = f.askAlone(parks)
		default:
			if reply, err = f.askOnce(); err == nil {
				a, err = parsed(reply)
			}
		}
		asked = false
		switch {
		case isLost(err) && losses == 0 && !f.isOver():
			losses++
			parks = false
		case isMoving(err) && !f.isOver():
			if serverError(err).Code() == "MOVED" {
				c.servers.forgetSlots(0)
			}
			parks = false
			f.mustWait()
			_ = pause(context.Background())
		case err != nil:
			return err
		case a.state == "WAIT":
			// Not parked although asked to be: the room is full.
			if parks && time.Since(began) < slice/2 {
				_ = pause(context.Background())
			}
			losses, parks = 0, true
			f.mustWait()
		default:
			return f.take(a, began)
		}
	}
}

// look asks by CACHE.GET first: CLIENT TRACKING tells only of what was read so.
func (f *flight) look() (bool, error) {
	server, err := f.cache.servers.of(f.key)
	if err != nil {
		return false, err
	}
	node, err := server.reach()
	if err != nil || !node.Tracks() {
		return false, err
	}
	sent := time.Now()
	reply, err := f.cache.servers.call(context.Background(), f.key, "CACHE.GET", f.key)
	if err != nil {
		return false, err
	}
	a, err := parsed(reply)
	if err != nil || a.state != "HIT" {
		return false, err
	}
	f.hit(a, true, sent)
	return true, nil
}

// askAlone asks over a connection of its own, to be parked or because a tie cannot be moved to one later.
func (f *flight) askAlone(parks bool) (answer, error) {
	c := f.cache
	if parks && c.flights.parked.Add(1) > int64(c.settings.maxWaiting) {
		c.flights.parked.Add(-1)
		_ = pause(context.Background())
		reply, err := f.askOnce()
		if err != nil {
			return answer{}, err
		}
		return parsed(reply)
	}
	if parks {
		defer c.flights.parked.Add(-1)
	}
	server, err := c.servers.of(f.key)
	if err != nil {
		return answer{}, err
	}
	held, err := server.borrow()
	if err != nil {
		return answer{}, err
	}
	if !f.park(held) {
		held.giveBack()
		return answer{}, lostBy(server.where(), context.Canceled)
	}
	limit, more := c.settings.readTimeout, []string{"TIED"}
	if parks {
		limit, more = slice+2*time.Second, append(more, "BLOCK", strconv.FormatInt(slice.Milliseconds(), 10))
	}
	reply, err := held.call(limit, f.question(more...)...)
	left := !f.park(nil)
	var a answer
	if err == nil {
		a, err = parsed(reply)
	}
	if err == nil && (a.state == "LOCK" || a.state == "REFRESH") {
		a.held = held
		return a, nil
	}
	if left && parks {
		held.broken = true // closed behind this call
	} else if err != nil {
		server.report(err)
	}
	held.giveBack()
	return a, err
}

// park notes the connection that is to be closed when all callers have left; false if they have.
func (f *flight) park(h *held) bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	f.parked = h
	return !f.over
}

func (f *flight) take(a answer, sent time.Time) error {
	c := f.cache
	var l *lease
	if a.state == "LOCK" || a.state == "REFRESH" {
		l = &lease{
			cache: c, key: f.key, token: strconv.FormatInt(a.number, 10), ms: f.plan.leaseMS,
			every: f.plan.lease / 3, limit: c.settings.readTimeout, held: a.held,
		}
	}
	switch {
	case a.state == "HIT":
		f.hit(a, false, sent)
	case a.state == "STALE":
		f.settle(outcome{kind: hasValue, data: a.data, stale: true})
	case a.state == "LOCK", a.state == "REFRESH" && f.plan.force:
		l.tie()
		if !f.give(outcome{kind: toBuild, lease: l}) {
			l.release()
		}
	case a.state == "REFRESH":
		f.refresh(l, a.data)
	case a.state == "PASS":
		f.settle(outcome{kind: isPrivate})
	case a.state == "FAIL":
		f.settle(outcome{kind: hasFailed, message: a.data, retryAfter: after(a.number)})
	default:
		return &ServerError{fmt.Sprintf("unknown state %q: this package is too old for the server's module", a.state)}
	}
	return nil
}

// refresh: all get the old value; the first also the lease.
func (f *flight) refresh(l *lease, data string) {
	old := outcome{kind: hasValue, data: data, stale: true}
	with := old
	with.lease = l
	given := f.give(with)
	f.settle(old)
	if !given {
		l.release()
	}
}

func after(ms int64) time.Time { return time.Now().Add(time.Duration(ms) * time.Millisecond) }
