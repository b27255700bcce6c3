// Package rueidiscorral lets Corral work over rueidis: single servers, Sentinel and clusters, as its ClientOption says.
package rueidiscorral

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"corral.example/corral-cache"
)

// New makes a Cache of what a client would be made of; a client itself does not tell its settings. The Cache has
// connections of its own.
func New(option rueidis.ClientOption, options ...corral.CacheOption) (*corral.Cache, error) {
	if len(option.InitAddress) == 0 {
		return nil, fmt.Errorf("%w: rueidiscorral.New needs an InitAddress", corral.ErrUsage)
	}
	if option.Standalone.EnableRedirect || len(option.Standalone.ReplicaAddress) > 0 {
		return nil, fmt.Errorf("%w: rueidiscorral.New talks to masters only, ClientOption.Standalone is to be empty", corral.ErrUsage)
	}
	return corral.New(&library{option}, options...)
}

// Open makes a Cache of a URL such as redis://user:password@127.0.0.1:6379.
func Open(url string, options ...corral.CacheOption) (*corral.Cache, error) {
	option, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", corral.ErrUsage, err)
	}
	return New(option, options...)
}

type library struct{ option rueidis.ClientOption }

func (l *library) Where() string {
	if set := l.option.Sentinel.MasterSet; set != "" {
		return fmt.Sprintf("the master %s of the sentinels", set)
	}
	return strings.Join(l.option.InitAddress, ", ")
}

// Seeds: whether it is a cluster, a server at one address tells.
func (l *library) Seeds() []string {
	if l.option.Sentinel.MasterSet != "" || l.option.ForceSingleClient {
		return nil
	}
	return l.option.InitAddress
}

func (l *library) Node(address string, settings corral.NodeSettings) corral.Node {
	o := l.option
	if address != "" {
		o.InitAddress, o.ForceSingleClient = []string{address}, true
	}
	// What it does for its users by itself is off: a question that was lost may have been granted a lease.
	o.DisableRetry, o.DisableCache = true, true
	o.SendToReplicas, o.ReplicaOnly = nil, false
	o.OnInvalidations, o.NewCacheStoreFn = nil, nil
	// Silence is noticed by a PING, which is sent a second after the last answer.
	o.Dialer.Timeout = settings.ReadTimeout
	o.ConnWriteTimeout = settings.ReadTimeout
	// Half a MiB each, and a ring of a thousand commands, are for pipelines and not for who waits.
	held := o
	held.ReadBufferEachConn, held.WriteBufferEachConn, held.RingScaleEachConn = 4096, 4096, 2
	held.PipelineMultiplex = -1
	// How many are held at once is for Corral to bound: who would queue for one may be what another's holder waits for.
	held.BlockingPoolSize, held.BlockingPoolMinSize, held.BlockingPoolCleanup, held.ConnLifetime = math.MaxInt, 0, 0, 0
	n := &node{held: lazy{option: held}, limit: settings.ReadTimeout}
	if heard := settings.Heard; heard != nil && !o.AlwaysRESP2 {
		n.tracks = true
		o.DisableCache = false
		o.ClientTrackingOptions = []string{}
		o.OnInvalidations = func(keys []rueidis.RedisMessage) {
			if keys == nil {
				heard("", true)
			}
			for _, key := range keys {
				if name, err := key.ToString(); err == nil {
					heard(name, false)
				}
			}
		}
	}
	n.shared = lazy{option: o}
	return n
}

type node struct {
	shared, held lazy
	tracks       bool
	limit        time.Duration
}

func (n *node) Do(args []string) (any, error) {
	client, err := n.shared.get()
	if err != nil {
		return nil, err
	}
	return result(client.Do(context.Background(), client.B().Arbitrary(args...).Build()))
}

func (n *node) Open() (corral.Conn, error) {
	client, err := n.held.get()
	if err != nil {
		return nil, err
	}
	dedicated, _ := client.Dedicate()
	return conn{dedicated}, nil
}

func (n *node) Tracks() bool { return n.tracks }

func (n *node) Close() {
	n.shared.close()
	n.held.close()
}

type conn struct{ client rueidis.DedicatedClient }

// Do asks as for a blocking command always: it may be one, and only such a call is ended by Close at once.
func (c conn) Do(limit time.Duration, args []string) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return result(c.client.Do(ctx, c.client.B().Arbitrary(args...).Blocking()))
}

func (c conn) Close() { c.client.Close() }

// lazy is a client that is made when it is needed: rueidis connects while it makes one.
type lazy struct {
	option rueidis.ClientOption
	client atomic.Pointer[rueidis.Client]
	mu     sync.Mutex
	lost   error // it is not tried again: others queue here, and each would wait as long
	closed bool
}

func (l *lazy) get() (rueidis.Client, error) {
	if client := l.client.Load(); client != nil {
		return *client, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, rueidis.ErrClosing
	}
	if client := l.client.Load(); client != nil {
		return *client, nil
	}
	if l.lost != nil {
		return nil, l.lost
	}
	client, err := rueidis.NewClient(l.option)
	if err != nil {
		if err = explained(err); !errors.As(err, new(*corral.ServerError)) {
			l.lost = err
		}
		return nil, err
	}
	l.client.Store(&client)
	return client, nil
}

func (l *lazy) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if client := l.client.Load(); client != nil {
		(*client).Close()
	}
}

func result(r rueidis.RedisResult) (any, error) {
	reply, err := r.ToAny()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return reply, explained(err)
}

func explained(err error) error {
	var said *rueidis.RedisError
	if errors.As(err, &said) {
		return &corral.ServerError{Message: said.Error()}
	}
	return err
}
