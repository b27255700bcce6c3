// The driver of ../../conformance for this package: conformance go-redis|rueidis. Its README says what is asked.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"corral.example/corral-cache"
)

type object = map[string]any

// driver holds what the requests name.
type driver struct {
	library string

	mu        sync.Mutex
	corrals   map[string]*corral.Cache
	seen      map[string][]string // events' names by corral
	functions map[string]function
	gates     map[string]chan struct{}
	running   map[float64]context.CancelFunc
}

var said sync.Mutex

func say(line object) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	said.Lock()
	defer said.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func main() {
	d := &driver{
		library: os.Args[1], corrals: map[string]*corral.Cache{}, seen: map[string][]string{},
		functions: map[string]function{}, gates: map[string]chan struct{}{}, running: map[float64]context.CancelFunc{},
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var request object
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			panic(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		id := request["id"].(float64)
		d.mu.Lock()
		d.running[id] = cancel
		d.mu.Unlock()
		go func() {
			defer cancel()
			value, err := d.answer(ctx, request)
			if err != nil {
				say(object{"id": id, "error": described(err, ctx)})
			} else {
				say(object{"id": id, "value": value})
			}
		}()
	}
}

type unsupported string

func (u unsupported) Error() string { return string(u) }

func (d *driver) answer(ctx context.Context, r object) (value any, err error) {
	defer func() { // Cached says by a panic what is wrong with a template
		if panicked := recover(); panicked != nil {
			wrong, ok := panicked.(error)
			if !ok || !errors.Is(wrong, corral.ErrUsage) {
				fmt.Fprintln(os.Stderr, panicked, string(debug.Stack()))
				wrong = fmt.Errorf("panic: %v", panicked)
			}
			err = wrong
		}
	}()
	name, _ := r["corral"].(string)
	d.mu.Lock()
	cache := d.corrals[name]
	d.mu.Unlock()
	switch r["do"] {
	case "hello":
		return object{"language": "go", "library": d.library + " " + version(d.library), "has": []string{
			"cluster", "sentinel", "resp3", "concurrent", "cancel", "renew", "background", "local", "unencodable", "closures",
			"tls", "error_text",
		}}, nil
	case "open":
		return nil, d.open(name, r)
	case "close":
		cache.Close()
		return nil, nil
	case "get_or_build":
		return d.getOrBuild(ctx, cache, r)
	case "define":
		return nil, d.define(cache, r)
	case "call", "refresh", "key", "invalidate_call":
		return d.call(ctx, r)
	case "invalidate":
		return nil, cache.Invalidate(ctx, texts(r["keys"])...)
	case "invalidate_tags":
		if swr, said := r["swr"].(float64); said {
			return nil, cache.InvalidateTagsSWR(ctx, seconds(swr), texts(r["tags"])...)
		}
		return nil, cache.InvalidateTags(ctx, texts(r["tags"])...)
	case "outdate":
		return nil, cache.Outdate(ctx, r["key"].(string), int64(r["version"].(float64)))
	case "check":
		found, err := cache.Check(ctx)
		return object{"version": found.Version, "missing": append([]string{}, found.Missing...)}, err
	case "cancel":
		d.mu.Lock()
		defer d.mu.Unlock()
		if cancel := d.running[r["call"].(float64)]; cancel != nil {
			cancel()
		}
		return nil, nil
	case "gate":
		close(d.gate(r["gate"].(string)))
		return nil, nil
	case "events":
		d.mu.Lock()
		defer d.mu.Unlock()
		return append([]string{}, d.seen[name]...), nil
	}
	return nil, unsupported(fmt.Sprint(r["do"]))
}

func (d *driver) getOrBuild(ctx context.Context, cache *corral.Cache, r object) (any, error) {
	key := r["key"].(string)
	value, err := corral.GetOrBuild(ctx, cache, key, d.scripted(r["build"], cache, key, r["id"]), callOptions(r["options"])...)
	if list, ok := value.([]any); ok && r["mutate"] == true && len(list) > 0 {
		// In place, as two who shared the value would see it.
		list = append(list, "mutated")
		first := list[0]
		list[0] = "mutated in place"
		time.Sleep(100 * time.Millisecond)
		list[0] = first
		value = list
	}
	return toJSON(value), err
}

func (d *driver) gate(name string) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gates[name] == nil {
		d.gates[name] = make(chan struct{})
	}
	return d.gates[name]
}

func described(err error, ctx context.Context) object {
	made := object{"type": "Other", "message": err.Error()}
	var failed *corral.BuildFailed
	var unanswered *corral.NotAllAnswered
	var type_ *json.UnsupportedTypeError
	var built *buildError
	var server *corral.ServerError
	var none unsupported
	switch {
	case errors.As(err, &none):
		made["type"] = "Unsupported"
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		made["type"] = "Cancelled"
	case errors.As(err, &failed):
		made["type"], made["retry_after"] = "BuildFailed", failed.RetryAfter.Seconds()
	case errors.As(err, &unanswered):
		made["type"] = "NotAllAnswered"
	case errors.As(err, &type_):
		made["type"] = "Encoding"
	case errors.As(err, &built):
		made["type"] = "Build"
	default:
		for target, name := range map[error]string{
			corral.ErrWaitTimeout: "WaitTimeout", corral.ErrModuleMissing: "ModuleMissing", corral.ErrNoPermission: "NoPermission",
			corral.ErrRecursiveBuild: "Recursion", corral.ErrUsage: "Usage", corral.ErrUnavailable: "Server",
		} {
			if errors.Is(err, target) {
				made["type"] = name
				return made
			}
		}
		if errors.As(err, &server) {
			made["type"] = "Server"
		}
	}
	return made
}
