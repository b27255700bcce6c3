package corral

import (
	"container/list"
	"hash/maphash"
	"math"
	"sync"
	"time"
)

const forEver = time.Duration(math.MaxInt64)

// near keeps copies in this process, so that a hit costs no round trip: never longer than the server said, and never a
// value whose question was sent before the key changed.
type near struct {
	most int
	seed maphash.Seed

	mu     sync.Mutex
	kept   map[string]*list.Element
	recent *list.List // of copies, newest use first
	// When the last change came, for some of the keys each: were every key's own kept, they would grow without end.
	changed [1024]uint64
	now     uint64
}

type kept struct {
	key   string
	data  string
	until time.Time
}

func newNear(most int) *near {
	return &near{most: most, seed: maphash.MakeSeed(), kept: map[string]*list.Element{}, recent: list.New(), now: 1}
}

func (n *near) get(key string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := n.kept[key]
	if found == nil {
		return "", false
	}
	entry := found.Value.(kept)
	if !entry.until.IsZero() && !time.Now().Before(entry.until) {
		n.remove(found)
		return "", false
	}
	n.recent.MoveToFront(found)
	return entry.data, true
}

// moment is to be asked before a question is sent.
func (n *near) moment() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

// put keeps a copy for so long, if nothing changed the key since that moment. The time counts from when the question was
// sent: how long its answer took nobody knows, and what it says may be as old as that.
func (n *near) put(key, data string, life time.Duration, asked uint64, sent time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed[n.part(key)] >= asked {
		return
	}
	entry := kept{key: key, data: data}
	if life != forEver {
		if entry.until = sent.Add(life); !time.Now().Before(entry.until) {
			return
		}
	}
	if found := n.kept[key]; found != nil {
		n.remove(found)
	}
	n.kept[key] = n.recent.PushFront(entry)
	if len(n.kept) > n.most {
		n.remove(n.recent.Back())
	}
}

// drop: the key changed; with all, any of them may have.
func (n *near) drop(key string, all bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if all {
		for part := range n.changed {
			n.changed[part] = n.now
		}
		clear(n.kept)
		n.recent.Init()
	} else {
		n.changed[n.part(key)] = n.now
		if found := n.kept[key]; found != nil {
			n.remove(found)
		}
	}
	n.now++
}

func (n *near) part(key string) uint64 { return maphash.String(n.seed, key) % uint64(len(n.changed)) }

func (n *near) remove(found *list.Element) {
	delete(n.kept, found.Value.(kept).key)
	n.recent.Remove(found)
}
