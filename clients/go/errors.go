package corral

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

var (
	// ErrWaitTimeout says that somebody else's build took longer than this caller's Wait.
	ErrWaitTimeout = errors.New("corral: waited in vain")
	// ErrModuleMissing says that the server has no Corral.
	ErrModuleMissing = errors.New("corral: the server has no Corral")
	// ErrUnsupported says that the server's Corral is too old for an option that was asked for.
	ErrUnsupported = errors.New("corral: the server's module is too old")
	// ErrNoPermission says that the user may not do this, or that the password is wrong.
	ErrNoPermission = errors.New("corral: not permitted")
	// ErrRecursiveBuild says that a build asked for the key that it builds.
	ErrRecursiveBuild = errors.New("corral: a build asks for its own key")
	// ErrUsage says that an option, a template or an argument is wrong; no server was asked.
	ErrUsage = errors.New("corral: wrong use")
	// ErrUnavailable says that the server cannot be reached or does not answer. Callers see it with Degrade(false) only.
	ErrUnavailable = errors.New("corral: the server is gone")

	// NotShared is what a build returns beside a value that is for its caller alone: nothing is stored, and for a while
	// everybody builds for himself.
	NotShared = errors.New("corral: not to be shared")
)

// BuildFailed says that the last build of the key failed, here or in another process, and that it is too early for the
// next one.
type BuildFailed struct {
	Key string
	// Message is what the builder said.
	Message    string
	RetryAfter time.Duration
	// Cause is the builder's own error, if it was in this process.
	Cause error
}

func (e *BuildFailed) Error() string {
	return fmt.Sprintf("corral: the build of %q failed: %s", e.Key, e.Message)
}
func (e *BuildFailed) Unwrap() error { return e.Cause }

// NotAllAnswered says that an invalidation did not reach every server: old values may still be served there. It may be
// said again, invalidating twice does no harm.
type NotAllAnswered struct {
	Nodes []string
	Cause error
}

func (e *NotAllAnswered) Error() string {
	return fmt.Sprintf("corral: not taken by %s: %v", strings.Join(e.Nodes, ", "), e.Cause)
}
func (e *NotAllAnswered) Unwrap() error { return e.Cause }

// ServerError is an error that the server answered.
type ServerError struct{ Message string }

func (e *ServerError) Error() string { return e.Message }

// Code is the first word, such as NOPERM.
func (e *ServerError) Code() string {
	code, _, _ := strings.Cut(e.Message, " ")
	return code
}

// One library takes "ERR " from the text, the other does not.
func (e *ServerError) says(words string) bool {
	return strings.HasPrefix(strings.TrimPrefix(e.Message, "ERR "), words)
}

// lost is a question without an answer.
type lost struct {
	where string
	cause error
	// silent: the server took the question and said nothing; asking again would cost as much again.
	silent bool
}

func lostBy(where string, cause error) *lost {
	var timed net.Error
	silent := errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, os.ErrDeadlineExceeded) ||
		errors.As(cause, &timed) && timed.Timeout()
	return &lost{where, cause, silent}
}

func (e *lost) Error() string        { return fmt.Sprintf("no answer from %s: %v", e.where, e.cause) }
func (e *lost) Unwrap() error        { return e.cause }
func (e *lost) Is(target error) bool { return target == ErrUnavailable }

func isLost(err error) bool {
	var l *lost
	return errors.As(err, &l)
}

func serverError(err error) *ServerError {
	var said *ServerError
	errors.As(err, &said)
	return said
}

// isOutage: the value should be built here, because the server cannot be asked now.
func isOutage(err error) bool {
	if said := serverError(err); said != nil {
		switch said.Code() {
		case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "MISCONF", "NOREPLICAS", "OOM", "BUSY":
			return true
		}
		return said.says("max number of clients") // the server has no code of its own for this one
	}
	return errors.Is(err, ErrUnavailable)
}

// isMoving: the same question has an answer elsewhere or a little later.
func isMoving(err error) bool {
	if said := serverError(err); said != nil {
		switch said.Code() {
		case "UNBLOCKED", "TRYAGAIN", "MOVED", "ASK":
			return true
		}
	}
	return false
}

func isDenied(err error) bool {
	if said := serverError(err); said != nil {
		switch said.Code() {
		case "NOPERM", "NOAUTH", "WRONGPASS":
			return true
		}
	}
	return false
}

func isUnknownCommand(err error) bool {
	said := serverError(err)
	return said != nil && said.says("unknown command")
}

// explained adds a word that helps to what the server said.
func explained(err error) error {
	switch {
	case isDenied(err):
		return fmt.Errorf("%w: %w (the README has the line of ACL to copy)", ErrNoPermission, err)
	case isUnknownCommand(err):
		return fmt.Errorf("%w: add \"loadmodule /path/to/libcorral.so\" to its redis.conf (it said: %w)", ErrModuleMissing, err)
	}
	return err
}

func usage(format string, words ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUsage}, words...)...)
}
