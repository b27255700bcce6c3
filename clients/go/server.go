package corral

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// keptIdle is how many connections are kept for the next holder or waiter.
const keptIdle = 32

// server is one server, and what is known of its outages. One that is gone is looked for behind; meanwhile every call is
// told so at once.
type server struct {
	client   Client
	address  string
	settings NodeSettings
	log      *slog.Logger

	gone     atomic.Pointer[outage]
	answered atomic.Int64 // when it last did, by uptime
	mu       sync.Mutex
	node     atomic.Pointer[Node] // what is shared; nil until it is used
	idle     []Conn
	closed   bool
}

type outage struct{ error }

func (o *outage) Is(target error) bool { return target == ErrUnavailable }

func (s *server) where() string {
	if s.address == "" {
		return s.client.Where()
	}
	return s.address
}

// call asks over what is shared; after a loss once more, over something new.
func (s *server) call(args ...string) (any, error) {
	for losses := 0; ; losses++ {
		node, err := s.reach()
		if err != nil {
			return nil, err
		}
		reply, err := node.Do(args)
		if err == nil || serverError(err) != nil {
			s.answered.Store(uptime())
			return reply, err
		}
		loss := lostBy(s.where(), err)
		s.replace(node)
		if losses > 0 || loss.silent {
			return nil, s.begin(loss)
		}
	}
}

func (s *server) reach() (Node, error) {
	if gone := s.gone.Load(); gone != nil {
		return nil, gone
	}
	if node := s.node.Load(); node != nil { // every hit comes here, and hits do not queue for a lock
		return *node, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, &outage{errors.New("corral: the cache was closed")}
	}
	if known := s.node.Load(); known != nil {
		return *known, nil
	}
	if s.settings.Heard != nil {
		s.settings.Heard("", true) // what changed while nothing was heard is not known
	}
	node := s.client.Node(s.address, s.settings)
	s.node.Store(&node)
	return node, nil
}

// borrow gives a connection to one caller alone. It is to be given back, or closed.
func (s *server) borrow() (*held, error) {
	node, err := s.reach()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if last := len(s.idle) - 1; last >= 0 {
		conn := s.idle[last]
		s.idle = s.idle[:last]
		s.mu.Unlock()
		return &held{server: s, conn: conn}, nil
	}
	s.mu.Unlock()
	conn, err := node.Open()
	if err == nil {
		return &held{server: s, conn: conn}, nil
	}
	if serverError(err) != nil {
		return nil, err
	}
	return nil, s.begin(lostBy(s.where(), err))
}

// replace has the next call use something new instead of this, and of what was idle beside it. Calls that are under way
// over it may still be answered.
func (s *server) replace(node Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.node.Load(); known != nil && *known == node {
		time.AfterFunc(s.settings.ReadTimeout, node.Close)
		s.node.Store(nil)
		s.leave()
	}
}

// abandon is for a server that became a replica: with Sentinel, new connections find the new master.
func (s *server) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave()
}

func (s *server) leave() {
	if node := s.node.Swap(nil); node != nil {
		go (*node).Close()
	}
	s.dropIdle()
}

func (s *server) dropIdle() {
	for _, conn := range s.idle {
		go conn.Close()
	}
	s.idle = nil
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.leave()
}

// report is what a held connection saw: idle ones were lost with it, and a server that hangs hangs for all.
func (s *server) report(err error) {
	var loss *lost
	if !errors.As(err, &loss) {
		return
	}
	s.mu.Lock()
	s.dropIdle()
	s.mu.Unlock()
	if loss.silent {
		s.begin(loss)
	}
}

func (s *server) begin(loss *lost) error {
	gone := &outage{fmt.Errorf("%s is gone: %w", s.where(), loss)}
	s.mu.Lock()
	begins := !s.closed && s.gone.CompareAndSwap(nil, gone)
	if begins {
		s.leave()
	}
	s.mu.Unlock()
	if begins {
		s.log.Warn("corral: the server is gone, values are built without it", "server", s.where(), "error", loss.cause)
		go s.search()
	}
	return gone
}

// search asks with growing pauses. Any answer will do, an error as well: what the server refuses is seen call by call.
func (s *server) search() {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		time.Sleep(pause)
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return
		}
		node := s.client.Node(s.address, s.settings)
		if _, err := node.Do([]string{"PING"}); err != nil && serverError(err) == nil {
			node.Close()
			continue
		}
		if s.settings.Heard != nil {
			s.settings.Heard("", true)
		}
		s.mu.Lock()
		if closed = s.closed; !closed {
			s.node.Store(&node)
			s.gone.Store(nil)
		}
		s.mu.Unlock()
		if closed {
			node.Close()
			return
		}
		s.log.Warn("corral: the server is back", "server", s.where())
		return
	}
}

// awaitReturn waits while it is gone, but not for long.
func (s *server) awaitReturn(ctx context.Context) {
	for deadline := time.Now().Add(time.Second); s.gone.Load() != nil && time.Now().Before(deadline); {
		if pause(ctx) != nil {
			return
		}
	}
}

// held is a connection of one caller alone.
type held struct {
	server *server
	conn   Conn
	broken bool
}

func (h *held) call(limit time.Duration, args ...string) (any, error) {
	reply, err := h.conn.Do(limit, args)
	if err != nil && serverError(err) == nil {
		h.broken = true
		return nil, lostBy(h.server.where(), err)
	}
	return reply, err
}

// giveBack keeps the connection for the next. Nothing may be tied to it any more.
func (h *held) giveBack() {
	s := h.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.broken || s.closed || s.gone.Load() != nil || len(s.idle) >= keptIdle {
		go h.conn.Close()
		return
	}
	s.idle = append(s.idle, h.conn)
}

// pause is 20 to 100 ms: who asks again in step with others asks in vain.
func pause(ctx context.Context) error {
	timer := time.NewTimer(20*time.Millisecond + rand.N(80*time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
