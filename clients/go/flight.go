package corral

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// slice is how long one call is parked: below the read time-outs of everything between here and the server.
const slice = 2 * time.Second

type kind int

const (
	hasValue kind = iota
	toBuild       // yours to build; without a lease the server is gone, and nothing is stored
	isPrivate
	hasFailed
	tooLate
	askAgain // who built is gone
	hasError
)

// outcome is what a flight tells a caller.
type outcome struct {
	kind       kind
	waited     bool
	stale      bool
	data       string
	lease      *lease // with toBuild, and with a value that is to be refreshed
	message    string // of hasFailed, with:
	retryAfter time.Time
	err        error
}

// flight is the callers of one key in this process: they share one request, and so at most one parked connection. Who is
// granted the lease is one of the callers, and builds with its own function.
type flight struct {
	cache *Cache
	shard *shard
	name  flightName
	key   string
	plan  *plan
	asked uint64 // the near cache's moment when the question was sent

	// Under the shard's lock:
	members  []*member
	parked   *held
	building bool
	over     bool
	answered bool // by something else than a hit: there is somebody's build to wait for
	waited   bool // somebody else's build was waited for
}

type member struct {
	answer  chan outcome // nil while it asks for all of them
	late    bool         // joined when the build had begun: whether it asked before an invalidation cannot be told
	overdue bool         // its patience ended before there was any answer
}

// shard is some of the flights; there are many, so that callers do not queue for one lock.
type shard struct {
	mu      sync.Mutex
	flights map[flightName]*flight
}

// flightName: flights are shared by those who would take the same answer.
type flightName struct {
	key string
	of  callers
}

type callers uint8

const (
	anybody callers = iota
	forced          // are not content with the value that is being replaced
	withoutStale
	kindsOfCallers
)

type flights struct {
	seed   maphash.Seed
	shards [64]shard
	parked atomic.Int64 // connections of this process that wait in the server
}

func newFlights() *flights {
	f := &flights{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].flights = map[flightName]*flight{}
	}
	return f
}

func (f *flights) shard(key string) *shard {
	return &f.shards[maphash.String(f.seed, key)%uint64(len(f.shards))]
}

// forget: who asks after an invalidation must not join a question from before it.
func (f *flights) forget(key string, all bool) {
	if all {
		for i := range f.shards {
			f.shards[i].mu.Lock()
			clear(f.shards[i].flights)
			f.shards[i].mu.Unlock()
		}
		return
	}
	s := f.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	for of := range kindsOfCallers {
		delete(s.flights, flightName{key, of})
	}
}

// ask joins the key's flight, begins it if there is none, and waits for what it brings. The caller leaves when its
// context ends or its patience.
func (c *Cache) ask(ctx context.Context, key string, p *plan, deadline time.Time) (outcome, *flight) {
	// Either nobody can call this caller off, or the answer will be there before that matters. So it asks itself, and a hit
	// ends here: another goroutine would cost as much as all the rest.
	asks := c.module.Load() != nil && c.near == nil && (ctx.Done() == nil || c.servers.isLively(key))
	name := flightName{key, p.callers}
	s := c.flights.shard(key)
	s.mu.Lock()
	f := s.flights[name]
	begins := f == nil || f.over
	if begins {
		f = &flight{cache: c, shard: s, name: name, key: key, plan: p}
		s.flights[name] = f
	}
	m := &member{late: f.building}
	if asks = asks && begins; !asks {
		m.answer = make(chan outcome, 1)
	}
	f.members = append(f.members, m)
	s.mu.Unlock()
	var reply any
	var err error
	if asks {
		if reply, err = f.askOnce(); err == nil {
			if hit, ok := f.hitOf(reply); ok {
				f.settle(hit)
				return hit, f
			}
		}
		m.answer = make(chan outcome, 1)
	}
	if begins {
		go f.run(reply, err)
	}
	return f.wait(ctx, m, deadline), f
}

func (f *flight) wait(ctx context.Context, m *member, deadline time.Time) outcome {
	select {
	case o := <-m.answer:
		return o
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		select {
		case o := <-m.answer:
			return o
		case <-timer.C:
			if f.losePatience(m) {
				return outcome{kind: tooLate, waited: true}
			}
		case <-ctx.Done():
			if !f.leave(m) {
				o := <-m.answer
				if o.lease != nil { // granted to nobody
					o.lease.release()
				}
				if o.kind == toBuild {
					f.settle(outcome{kind: askAgain})
				}
			}
			return outcome{kind: hasError, err: ctx.Err()}
		}
	}
}

// losePatience: a server that has not answered yet is no build that takes too long, so that is waited for.
func (f *flight) losePatience(m *member) bool {
	f.shard.mu.Lock()
	answered := f.answered
	m.overdue = true
	f.shard.mu.Unlock()
	return answered && f.leave(m)
}

// leave ends one caller's waiting, and no other's. False if its answer is there already.
func (f *flight) leave(m *member) bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	at := slices.Index(f.members, m)
	if at < 0 {
		return false
	}
	f.members = slices.Delete(f.members, at, at+1)
	if len(f.members) == 0 && !f.building {
		f.finish()
		if f.parked != nil { // the answer to come would be for nobody, and no other question may meet it
			go f.parked.conn.Close()
		}
	}
	return true
}

// settle ends the flight with this for all who still wait.
func (f *flight) settle(o outcome) { f.settleLate(o, o) }

// settleLate gives the second one to those who joined when the build had begun.
func (f *flight) settleLate(o, late outcome) {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	if f.over {
		return
	}
	f.finish()
	o.waited, late.waited = f.waited, f.waited
	for _, m := range f.members {
		switch {
		case m.answer == nil: // it has it already
		case m.late:
			m.answer <- late
		default:
			m.answer <- o
		}
	}
	f.members = nil
}

func (f *flight) finish() {
	f.over = true
	if f.shard.flights[f.name] == f {
		delete(f.shard.flights, f.name)
	}
}

// give is for whoever has waited longest; the others wait for it. False if nobody is there.
func (f *flight) give(o outcome) bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	if f.over || len(f.members) == 0 {
		return false
	}
	first := f.members[0]
	f.members = f.members[1:]
	if o.kind == toBuild {
		f.building, f.answered, f.waited = true, true, true
	}
	first.answer <- o
	return true
}

// mustWait: from now on, callers' patience may end.
func (f *flight) mustWait() {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	f.answered, f.waited = true, true
	var patient []*member
	for _, m := range f.members {
		if m.overdue {
			m.answer <- outcome{kind: tooLate, waited: true}
		} else {
			patient = append(patient, m)
		}
	}
	if f.members = patient; len(patient) == 0 && !f.over {
		f.finish()
	}
}

func (f *flight) isOver() bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return f.over
}
