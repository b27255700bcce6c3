package corral

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// lively: who hangs is noticed after so long, by callers whose contexts end meanwhile. Those that asked before then are
// answered, or leave with the read time-out.
const lively = 100 * time.Millisecond

const attemptsToChange = 3

var longAgo = time.Now().Add(-time.Hour)

// uptime is in milliseconds, and no clock that is set changes it.
func uptime() int64 { return time.Since(longAgo).Milliseconds() }

// servers is where questions go: to the master of a key, or to every master there is.
type servers struct {
	client   Client
	settings NodeSettings
	log      *slog.Logger

	seeds  []string
	single atomic.Bool // asked for its slots, the seed said that it is no cluster
	slots  atomic.Pointer[slotMap]

	known  sync.Map     // *server by address
	readAt atomic.Int64 // by uptime

	reading sync.Mutex
	last    []string // masters that once served slots, to ask when the seeds are gone
}

func newServers(client Client, settings NodeSettings, log *slog.Logger) *servers {
	return &servers{client: client, settings: settings, log: log, seeds: client.Seeds()}
}

// of is the master of the key.
func (s *servers) of(key string) (*server, error) {
	if s.isSingle() {
		return s.theOne(), nil
	}
	slots := s.slots.Load()
	if slots == nil {
		var err error
		if slots, err = s.read(false); err != nil {
			return nil, err
		}
		if s.isSingle() {
			return s.theOne(), nil
		}
	}
	address := slots[slotOf(key)]
	if address == "" {
		return nil, &outage{fmt.Errorf("no node of the cluster serves the slot of %q", key)}
	}
	return s.at(address), nil
}

// isLively: the master of the key has answered just now.
func (s *servers) isLively(key string) bool {
	server, err := s.of(key)
	return err == nil && uptime()-server.answered.Load() < lively.Milliseconds()
}

// call asks the master of the key, and follows the key where it went.
func (s *servers) call(ctx context.Context, key string, args ...string) (any, error) {
	for tries := 0; ; tries++ {
		server, err := s.of(key)
		if err != nil {
			return nil, err
		}
		reply, err := server.call(args...)
		if err == nil {
			return reply, nil
		}
		if again, reply, err := s.follow(ctx, server, err, args); !again || tries == 5 {
			return reply, err
		}
		if tries > 0 && pause(ctx) != nil {
			return nil, err
		}
	}
}

// change is a call whose loss would leave an old value served for ever, so it is tried again.
func (s *servers) change(ctx context.Context, key string, args ...string) (any, error) {
	for attempt := 1; ; attempt++ {
		reply, err := s.call(ctx, key, args...)
		if attempt == attemptsToChange || !isOutage(err) && !isMoving(err) {
			return reply, err
		}
		if pause(ctx) != nil {
			return nil, err
		}
		if server, unknown := s.of(key); unknown == nil {
			server.awaitReturn(ctx)
		}
	}
}

// follow does what an error asks for: true to ask again.
func (s *servers) follow(ctx context.Context, server *server, err error, args []string) (bool, any, error) {
	said := serverError(err)
	if said == nil {
		s.forgetSlots(time.Second) // whoever is gone may have been succeeded
		return false, nil, err
	}
	switch said.Code() {
	case "MOVED":
		if s.isSingle() {
			return false, nil, usage("%s is a node of a cluster: the Cache is to be made of a client for clusters (it said: %v)", server.where(), err)
		}
		s.forgetSlots(0)
	case "ASK":
		words := strings.Fields(said.Message)
		reply, err := s.at(words[len(words)-1]).ask(args)
		return false, reply, err
	case "TRYAGAIN", "UNBLOCKED":
		if pause(ctx) != nil {
			return false, nil, err
		}
	case "READONLY": // it became a replica: with Sentinel a new connection finds the new master
		server.abandon()
		return false, nil, err
	default:
		return false, nil, err
	}
	return true, nil, err
}

// ask is for a key that a slot's migration has already taken there.
func (s *server) ask(args []string) (any, error) {
	held, err := s.borrow()
	if err != nil {
		return nil, err
	}
	defer held.giveBack()
	if _, err := held.call(s.settings.ReadTimeout, "ASKING"); err != nil {
		return nil, err
	}
	return held.call(s.settings.ReadTimeout, args...)
}

// everyMaster sends it to every master that there is now, and again to those that did not answer, for so long.
func (s *servers) everyMaster(ctx context.Context, patience time.Duration, args ...string) error {
	deadline := time.Now().Add(patience)
	done := map[string]bool{}
	for {
		failed := map[string]error{}
		masters, err := s.masters()
		if err != nil {
			failed[s.client.Where()] = err
		}
		for where, err := range s.each(masters, done, args) {
			if !isOutage(err) && !isMoving(err) {
				return err
			}
			failed[where] = err
		}
		if len(failed) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return notAllAnswered(failed)
		}
		if err := pause(ctx); err != nil {
			return errors.Join(err, notAllAnswered(failed))
		}
	}
}

// each asks those that are not done, at once; what failed is in the answer.
func (s *servers) each(masters []*server, done map[string]bool, args []string) map[string]error {
	failed := map[string]error{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, master := range masters {
		if done[master.where()] {
			continue
		}
		all.Add(1)
		go func() {
			defer all.Done()
			_, err := master.call(args...)
			if said := serverError(err); said != nil && said.Code() == "READONLY" {
				master.abandon()
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				done[master.where()] = true
			} else {
				failed[master.where()] = err
			}
		}()
	}
	all.Wait()
	return failed
}

func notAllAnswered(failed map[string]error) error {
	made := &NotAllAnswered{}
	for where, err := range failed {
		made.Nodes = append(made.Nodes, where)
		made.Cause = err
	}
	return made
}

func (s *servers) masters() ([]*server, error) {
	if s.isSingle() {
		return []*server{s.theOne()}, nil
	}
	slots, err := s.read(true)
	if err != nil {
		return nil, err
	}
	if s.isSingle() {
		return []*server{s.theOne()}, nil
	}
	var found []*server
	for _, address := range slots.masters() {
		found = append(found, s.at(address))
	}
	return found, nil
}

// read asks for the slots, those last known to serve some first. Fresh, it does not take what another reader found.
func (s *servers) read(fresh bool) (*slotMap, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if known := s.slots.Load(); known != nil && !fresh {
		return known, nil
	}
	var last error
	for _, address := range append(slices.Clone(s.last), s.seeds...) {
		reply, err := s.at(address).call("CLUSTER", "SLOTS")
		if said := serverError(err); said != nil && said.says("This instance has cluster support disabled") {
			s.single.Store(true)
			return nil, nil
		}
		var found *slotMap
		if err == nil {
			found, err = slotsOf(reply, address)
		}
		if err == nil {
			s.slots.Store(found)
			s.readAt.Store(uptime())
			s.last = found.masters()
			return found, nil
		}
		if last = err; isDenied(err) {
			return nil, err
		}
	}
	return nil, &outage{fmt.Errorf("no node of the cluster (%s) tells its slots: %w", s.client.Where(), last)}
}

// forgetSlots drops what is known, if it is older than that.
func (s *servers) forgetSlots(than time.Duration) {
	if uptime()-s.readAt.Load() >= than.Milliseconds() {
		s.slots.Store(nil)
	}
}

func (s *servers) isSingle() bool { return len(s.seeds) == 0 || s.single.Load() }

func (s *servers) theOne() *server {
	if len(s.seeds) == 0 {
		return s.at("")
	}
	return s.at(s.seeds[0])
}

func (s *servers) at(address string) *server {
	if found, ok := s.known.Load(address); ok {
		return found.(*server)
	}
	found, _ := s.known.LoadOrStore(address, &server{client: s.client, address: address, settings: s.settings, log: s.log})
	return found.(*server)
}

func (s *servers) close() {
	for _, found := range s.known.Range {
		found.(*server).close()
	}
}
