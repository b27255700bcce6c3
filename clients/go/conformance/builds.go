package main

import (
	"context"
	"encoding/base64"
	"syscall"
	"time"

	"corral.example/corral-cache"
)

// buildError is this program's own.
type buildError struct{ text string }

func (e *buildError) Error() string { return e.text }

type build = func(context.Context) (any, error)

// scripted makes a build of a list of actions.
func (d *driver) scripted(script any, cache *corral.Cache, key string, call any) build {
	return func(ctx context.Context) (any, error) {
		say(object{"event": "begun", "key": key, "call": call, "at": now()})
		defer func() { say(object{"event": "ended", "key": key, "call": call, "at": now()}) }()
		for _, action := range script.([]any) {
			if value, done, err := d.act(ctx, action.(object), cache, call); done || err != nil {
				return value, err
			}
		}
		return nil, nil
	}
}

// now is of the machine's clock, in seconds: what two processes say is in order by it.
func now() float64 { return float64(time.Now().UnixNano()) / 1e9 }

func (d *driver) act(ctx context.Context, action object, cache *corral.Cache, call any) (value any, done bool, err error) {
	for name, argument := range action {
		switch name {
		case "return":
			if action["not_shared"] == true {
				return fromJSON(argument), true, corral.NotShared
			}
			return fromJSON(argument), true, nil
		case "return_unencodable":
			return func() {}, true, nil
		case "raise":
			return nil, true, &buildError{argument.(string)}
		case "wait_for":
			return nil, false, waitFor(ctx, d.gate(argument.(string)))
		case "sleep":
			return nil, false, waitFor(ctx, time.After(seconds(argument.(float64))))
		case "exit":
			return nil, false, syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		case "fork":
			return nil, false, unsupported("Go cannot fork")
		case "get_or_build":
			nested := argument.(object)
			key := nested["key"].(string)
			_, err := corral.GetOrBuild(ctx, cache, key, d.scripted(nested["build"], cache, key, call), callOptions(nested["options"])...)
			return nil, false, err
		}
	}
	return nil, false, nil
}

func waitFor[T any](ctx context.Context, event <-chan T) error {
	select {
	case <-event:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func fromJSON(value any) any {
	if given, ok := value.(object); ok {
		if text, ok := given["$bytes"].(string); ok {
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				panic(err)
			}
			return data
		}
	}
	return value
}

func toJSON(value any) any {
	if data, ok := value.([]byte); ok {
		return object{"$bytes": base64.StdEncoding.EncodeToString(data)}
	}
	return value
}

// function is one that Cached made, whatever its argument's type.
type function struct {
	get, refresh func(context.Context, []any) (any, error)
	invalidate   func(context.Context, []any) error
	key          func([]any) (string, error)
}

func (d *driver) define(cache *corral.Cache, r object) error {
	template, options := r["template"].(string), callOptions(r["options"])
	var made function
	switch parameters := texts(r["parameters"]); len(parameters) {
	case 1:
		type argument struct{ Day any }
		made = defined(d, cache, r, template, options, func(args []any) argument { return argument{args[0]} })
	case 2:
		type argument struct{ Day, Kind any }
		made = defined(d, cache, r, template, options, func(args []any) argument { return argument{args[0], args[1]} })
	default:
		return unsupported("this driver has types for day, and for day and kind")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.functions[r["function"].(string)] = made
	return nil
}

func defined[A any](d *driver, cache *corral.Cache, r object, template string, options []corral.Option, of func([]any) A) function {
	var f *corral.Function[A, any]
	f = corral.Cached(cache, template, func(ctx context.Context, argument A) (any, error) {
		key, err := f.Key(argument)
		if err != nil {
			return nil, err
		}
		return d.scripted(r["build"], cache, key, r["id"])(ctx)
	}, options...)
	return function{
		get:        func(ctx context.Context, args []any) (any, error) { return f.Get(ctx, of(args)) },
		refresh:    func(ctx context.Context, args []any) (any, error) { return f.Refresh(ctx, of(args)) },
		invalidate: func(ctx context.Context, args []any) error { return f.Invalidate(ctx, of(args)) },
		key:        func(args []any) (string, error) { return f.Key(of(args)) },
	}
}

func (d *driver) call(ctx context.Context, r object) (any, error) {
	d.mu.Lock()
	f := d.functions[r["function"].(string)]
	d.mu.Unlock()
	args := r["args"].([]any)
	switch r["do"] {
	case "call":
		return f.get(ctx, args)
	case "refresh":
		return f.refresh(ctx, args)
	case "key":
		return f.key(args)
	}
	return nil, f.invalidate(ctx, args)
}
