package corral

import (
	"context"
	"fmt"
	"log/slog"
	"os"
)

// guarded calls a hook of the application's. It is not what the caller asked for, so its panic is not the caller's.
func (c *Cache) guarded(hook, key string, call func()) {
	defer func() {
		if panicked := recover(); panicked != nil {
			c.settings.log.Error("corral: a hook panicked", "hook", hook, "key", key, "panic", panicked)
		}
	}()
	call()
}

// unfailing keeps the panic of a log handler from callers, and from goroutines where it would end the process.
type unfailing struct{ slog.Handler }

func (h unfailing) Handle(ctx context.Context, record slog.Record) error {
	defer func() {
		if panicked := recover(); panicked != nil {
			fmt.Fprintf(os.Stderr, "corral: the log handler panicked: %v; it was told %q\n", panicked, record.Message)
		}
	}()
	return h.Handler.Handle(ctx, record)
}
