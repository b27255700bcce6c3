package rueidiscorral

import (
	"context"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"corral-examples/corral"
)

// events waits without BLOCK: one connection for all commands and one for events, however many callers wait.
// The server needs: CONFIG SET notify-keyspace-events Kd
type events struct {
	transport
	subscribing sync.Mutex // keeps SUBSCRIBE and UNSUBSCRIBE of one channel in order
	listening   rueidis.DedicatedClient

	mu       sync.Mutex
	watching map[string]map[*watch]struct{} // by channel
}

func ConnectByEvents(address string, times corral.Times) (*corral.Corral, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{address}})
	return &corral.Corral{Transport: &events{transport: transport{client: client}}, Times: times}, err
}

func (e *events) GetOrLock(ctx context.Context, key string, lease time.Duration) (any, error) {
	return e.Call(ctx, "CACHE.GETORLOCK", key, "LEASE", ms(lease))
}

func (e *events) Watch(ctx context.Context, key string) (corral.Watch, error) {
	e.subscribing.Lock()
	defer e.subscribing.Unlock()
	w := &watch{events: e, channel: "__keyspace@0__:" + key, changed: make(chan struct{}, 1)}
	if e.listening == nil {
		e.listen()
	}
	e.mu.Lock()
	first := len(e.watching[w.channel]) == 0
	if first {
		e.watching[w.channel] = map[*watch]struct{}{}
	}
	e.watching[w.channel][w] = struct{}{}
	e.mu.Unlock()
	if first { // Do returns when the server has confirmed
		if err := e.listening.Do(ctx, e.listening.B().Subscribe().Channel(w.channel).Build()).Error(); err != nil {
			e.forget(w)
			return nil, err
		}
	}
	return w, nil
}

func (e *events) listen() {
	listening, giveBack := e.client.Dedicate()
	e.mu.Lock()
	e.watching = map[string]map[*watch]struct{}{}
	e.mu.Unlock()
	lost := listening.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: e.heard})
	e.listening = listening
	go func() { // who waits now asks again after the number's ms; the next Watch listens anew
		<-lost
		giveBack()
		e.subscribing.Lock()
		e.listening = nil
		e.subscribing.Unlock()
	}()
}

func (e *events) heard(message rueidis.PubSubMessage) {
	if message.Message == "cache.lock" {
		return // a lease was granted: there is nothing to fetch yet
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.watching[message.Channel] {
		select {
		case w.changed <- struct{}{}:
		default: // already told
		}
	}
}

func (e *events) forget(w *watch) (last bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, watched := e.watching[w.channel][w]
	delete(e.watching[w.channel], w)
	last = watched && len(e.watching[w.channel]) == 0
	if last {
		delete(e.watching, w.channel)
	}
	return last
}

type watch struct {
	events  *events
	channel string
	changed chan struct{} // holds one, as an event may come between an answer and the wait
}

// Change ends at the latest after the number's ms: a lease that runs out makes no event.
func (w *watch) Change(ctx context.Context, atMost time.Duration) {
	select {
	case <-w.changed:
	case <-time.After(atMost):
	case <-ctx.Done():
	}
}

func (w *watch) End() {
	e := w.events
	e.subscribing.Lock()
	defer e.subscribing.Unlock()
	if e.forget(w) && e.listening != nil {
		e.listening.Do(context.Background(), e.listening.B().Unsubscribe().Channel(w.channel).Build())
	}
}
