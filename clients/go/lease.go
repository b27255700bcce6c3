package corral

import (
	"context"
	"sync"
	"time"
)

// lease is the right to build one key: tied to a connection of its own, renewed while the build runs, ended by one verdict.
type lease struct {
	cache *Cache
	key   string
	token string
	ms    string
	every time.Duration
	limit time.Duration

	mu    sync.Mutex // renewal and verdict share the connection
	held  *held
	ended bool
	stop  chan struct{} // of the renewal; nil if there is none
}

// tie moves the tie to a connection of the lease's own, so that a killed process frees the lease at once. Done before the
// build begins: a build may kill its process. Without a connection the lease still holds, until its deadline. False if
// it is not ours any more.
func (l *lease) tie() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 2 { // an idle connection may be lost without anybody's knowing
		if l.held != nil || l.ended {
			return !l.ended
		}
		server, err := l.cache.servers.of(l.key)
		if err != nil {
			return true
		}
		held, err := server.borrow()
		if err != nil {
			return true
		}
		l.held = held
		left, err := held.call(l.limit, "CACHE.RENEW", l.key, l.token, l.ms, "TIED")
		if err == nil {
			if left == nil {
				l.ended = true
				l.letGo(false)
			}
			return left != nil
		}
		l.letGo(true)
		if serverError(err) != nil {
			return true
		}
	}
	return true
}

// keep renews, from now until the verdict, however the build ends.
func (l *lease) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.stop != nil {
		return
	}
	stop := make(chan struct{})
	l.stop = stop
	go func() {
		ticker := time.NewTicker(max(l.every, time.Millisecond))
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			if !l.renew() {
				return
			}
		}
	}()
}

func (l *lease) renew() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	left, err := l.send("CACHE.RENEW", l.key, l.token, l.ms)
	// Taken over or invalidated, there is nothing left to keep. After an error the next one is sent all the same.
	return err != nil || left != nil
}

// end says the verdict; nil means that the lease was not ours any more.
func (l *lease) end(command string, words ...string) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, nil
	}
	l.ended = true
	if l.stop != nil {
		close(l.stop)
	}
	reply, err := l.send(append([]string{command, l.key, l.token}, words...)...)
	if command == "CACHE.FILL" && serverError(err) != nil && !isOutage(err) && !isDenied(err) {
		// Refused as it stands, and so would be what every next builder brings.
		_, failed := l.send("CACHE.FAIL", l.key, l.token, cut(err.Error()))
		l.letGo(failed != nil)
		return reply, err
	}
	l.letGo(err != nil) // a refused word has changed nothing: then the closed connection ends the lease
	return reply, err
}

// release gives up without a verdict. That nobody hears it is no harm: the tie ends with the connection.
func (l *lease) release() { _, _ = l.end("CACHE.RELEASE") }

// send speaks over the held connection, or once over another.
func (l *lease) send(args ...string) (any, error) {
	if l.held != nil && !l.held.broken {
		reply, err := l.held.call(l.limit, args...)
		if err == nil || !isLost(err) && !isMoving(err) {
			return reply, err
		}
		l.held.server.report(err)
	}
	return l.cache.servers.call(context.Background(), l.key, args...)
}

// letGo: a closed connection ends the tie, a kept one would hold it.
func (l *lease) letGo(closes bool) {
	if l.held == nil {
		return
	}
	if closes {
		l.held.broken = true
	}
	l.held.giveBack()
	l.held = nil
}
