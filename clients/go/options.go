package corral

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"
)

// Option says something about one call, or, given to New or Cached, about all of theirs. Everything may be left out.
type Option func(*plan)

// CacheOption is what New takes: every Option, as a default, and what concerns the cache as a whole.
type CacheOption interface{ applyTo(*settings) }

type settingOption func(*settings)

func (o Option) applyTo(s *settings)        { o(&s.plan) }
func (o settingOption) applyTo(s *settings) { o(s) }

// TTL is how long a value is fresh. Without it, for ever.
func TTL(d time.Duration) Option {
	return func(p *plan) { p.above0("TTL", d); p.ttl, p.ttlOf = d, nil }
}

// TTLOf reads the TTL off the built value; 0 gives the value to those who wait, and keeps nothing.
func TTLOf[T any](f func(T) time.Duration) Option {
	return func(p *plan) { p.ttlOf = ofValue(p, "TTLOf", f) }
}

// SWR is how long after its TTL the old value is served while one caller refreshes it.
func SWR(d time.Duration) Option { return func(p *plan) { p.swr = p.window("SWR", d) } }

// SIE is how long after its TTL the old value is served while builds fail.
func SIE(d time.Duration) Option { return func(p *plan) { p.sie = p.window("SIE", d) } }

// Jitter is the percentage by which chance may shorten the TTL, so that keys do not expire together.
func Jitter(percent int) Option {
	return func(p *plan) {
		if percent < 0 || percent > 100 {
			p.refuse("Jitter takes a percentage, 0 to 100, not %d", percent)
		}
		p.jitter = percent
	}
}

// Tags are labels for InvalidateTags. Cached makes them of its argument: Tags("day:{day}").
func Tags(tags ...string) Option {
	return func(p *plan) { p.tags, p.tagsOf = tags, nil; p.keep(checkedTags(tags)) }
}

// TagsOf reads the tags off the built value.
func TagsOf[T any](f func(T) []string) Option {
	return func(p *plan) { p.tagsOf = ofValue(p, "TagsOf", f) }
}

// Version is how new the source was when it was read, for Outdate.
func Version(n int64) Option {
	return func(p *plan) {
		VersionOf(func(any) int64 { return n })(p)
		p.keep(checkedVersion(n))
	}
}

// VersionOf reads the version off the built value.
func VersionOf[T any](f func(T) int64) Option {
	return func(p *plan) { p.versionOf = ofValue(p, "VersionOf", f) }
}

// Group names the server's group that limits builds of one source (its setting corral.groups).
func Group(name string) Option { return func(p *plan) { p.group = name } }

// Wait is the patience for somebody else's build; 10 s if it is not said.
func Wait(d time.Duration) Option {
	return func(p *plan) { p.window("Wait", d); p.wait = d }
}

// BuildOnTimeout lets a caller whose Wait is over build for itself, without storing, rather than fail.
func BuildOnTimeout(yes bool) Option { return func(p *plan) { p.buildOnTimeout = yes } }

// Lease is renewed while the build runs, so it is not the longest build; 10 s if it is not said.
func Lease(d time.Duration) Option {
	return func(p *plan) { p.above0("Lease", d); p.withinADay("Lease", d); p.lease = d }
}

// Backoff is how long nobody tries again after a failed build; the server's if it is not said.
func Backoff(d time.Duration) Option {
	return func(p *plan) { p.withinADay("Backoff", d); p.backoff = p.window("Backoff", d) }
}

// Early refreshes before the deadline with growing chance (XFetch): 1 is usual, 0 is never.
func Early(beta float64) Option {
	return func(p *plan) {
		if !(beta >= 0 && beta <= 100) {
			p.refuse("Early takes 0 to 100, not %v", beta)
		}
		p.early = &beta
	}
}

// NoStale never gives a value past its TTL.
func NoStale(yes bool) Option { return func(p *plan) { p.noStale = yes } }

// Serializer chooses how values become bytes: JSON, Bytes, Gob, or your own.
func Serializer(c Codec) Option {
	return func(p *plan) {
		if c == nil {
			p.refuse("Serializer takes a Codec, not nil")
		}
		p.codec = c
	}
}

// Background hands refreshes to whoever runs them elsewhere: it is given the refresh, and is to return at once. If it is
// not said, they run in goroutines of their own, as many at once as BackgroundLimit says.
func Background(run func(refresh func())) Option { return func(p *plan) { p.background = run } }

// Degrade(false) gives callers ErrUnavailable while the server is gone. Otherwise values are built here meanwhile.
func Degrade(yes bool) CacheOption { return settingOption(func(s *settings) { s.raises = !yes }) }

// DegradeLimit is how many builds run at once while the server is gone; 8 if it is not said.
func DegradeLimit(n int) CacheOption {
	return count("DegradeLimit", n, 1, func(s *settings) { s.degradeLimit = n })
}

// MaxWaiting is how many connections of this process may be parked in the server, 1,000 if it is not said. Callers
// beyond it ask again and again instead.
func MaxWaiting(n int) CacheOption {
	return count("MaxWaiting", n, 0, func(s *settings) { s.maxWaiting = n })
}

// BackgroundLimit is how many refreshes run at once, 8 if it is not said. One beyond it is left to a later caller.
func BackgroundLimit(n int) CacheOption {
	return count("BackgroundLimit", n, 0, func(s *settings) { s.backgroundLimit = n })
}

// ReadTimeout is the silence after which a server counts as gone; 5 s if it is not said.
func ReadTimeout(d time.Duration) CacheOption {
	return settingOption(func(s *settings) { s.above0("ReadTimeout", d); s.withinADay("ReadTimeout", d); s.readTimeout = d })
}

// Local is how many values are kept in this process, so that their hits ask nobody; 0 if it is not said.
func Local(entries int) CacheOption {
	return count("Local", entries, 0, func(s *settings) { s.local = entries })
}

// LocalTTL is how long such a copy lives where nothing tells of changes; 1 s if it is not said.
func LocalTTL(d time.Duration) CacheOption {
	return settingOption(func(s *settings) { s.window("LocalTTL", d); s.localTTL = d })
}

// ErrorText(false) tells other processes the type of a failed build's error only, and not its text.
func ErrorText(yes bool) CacheOption { return settingOption(func(s *settings) { s.hidesText = !yes }) }

// OnEvent is told what happens. It runs within the call, so it is to be quick.
func OnEvent(hook func(context.Context, Event)) CacheOption {
	return settingOption(func(s *settings) { s.onEvent = hook })
}

// Logger is where outages and failed refreshes are said; slog.Default() if it is not said.
func Logger(l *slog.Logger) CacheOption {
	return settingOption(func(s *settings) {
		if l == nil {
			s.refuse("Logger takes a *slog.Logger, not nil")
		}
		s.log = l
	})
}

// Event is one thing that happened to a call.
type Event struct {
	// Name is one of hit, stale, refresh, built, waited, failed, degraded, not_stored.
	Name string
	Key  string
	// Duration is that of the build (built, failed), or of the wait (waited).
	Duration time.Duration
	Err      error
}

// plan is what a call wants, made ready to be asked. A cached function makes its own once, not for every call.
type plan struct {
	ttl, wait, lease  time.Duration
	swr, sie, backoff *time.Duration
	jitter            int
	tags              []string
	ttlOf             func(any) (time.Duration, error)
	tagsOf            func(any) ([]string, error)
	versionOf         func(any) (int64, error)
	group             string
	buildOnTimeout    bool
	early             *float64
	noStale, force    bool
	codec             Codec
	background        func(func())
	err               error
	words             []string // what stands after the key in GETORLOCK
	callers           callers
	leaseMS           string
}

type settings struct {
	plan
	raises, hidesText                                bool
	degradeLimit, maxWaiting, backgroundLimit, local int
	readTimeout, localTTL                            time.Duration
	onEvent                                          func(context.Context, Event)
	log                                              *slog.Logger
}

func defaults() settings {
	return settings{
		plan:         plan{wait: 10 * time.Second, lease: 10 * time.Second, codec: JSON},
		degradeLimit: 8, maxWaiting: 1000, backgroundLimit: 8,
		readTimeout: 5 * time.Second, localTTL: time.Second, log: slog.Default(),
	}
}

// with is these defaults and what a call says besides.
func (p *plan) with(force bool, options []Option) *plan {
	made := *p
	for _, option := range options {
		if option == nil {
			made.refuse("an option is nil")
			break
		}
		option(&made)
	}
	made.force = force
	made.leaseMS = milliseconds(made.lease)
	made.words = []string{"LEASE", made.leaseMS}
	if made.group != "" {
		made.words = append(made.words, "GROUP", made.group)
	}
	if made.early != nil {
		made.words = append(made.words, "EARLY", strconv.FormatFloat(*made.early, 'f', -1, 64))
	}
	switch {
	case force:
		made.words = append(made.words, "NOSTALE", "FORCE")
		made.callers = forced
	case made.noStale:
		made.words = append(made.words, "NOSTALE")
		made.callers = withoutStale
	}
	return &made
}

// tagged is the same with the tags of one call.
func (p *plan) tagged(tags []string) *plan {
	made := *p
	made.tags = tags
	made.keep(checkedTags(tags))
	return &made
}

// product is what a build made, as it goes to the server.
type product struct {
	data    []byte
	options []string // of FILL
	private bool
}

// fillOptions is what FILL is told, as far as it depends on the value. What is wrong in it is the build's error.
func (p *plan) fillOptions(value any) ([]string, error) {
	var options []string
	ttl := p.ttl
	if p.ttlOf != nil {
		var err error
		if ttl, err = p.ttlOf(value); err != nil {
			return nil, err
		}
	}
	switch {
	case ttl > 0:
		options = append(options, "PX", milliseconds(ttl))
	case p.ttlOf != nil:
		options = append(options, "PXAT", "1")
	}
	if ttl > 0 { // windows need a deadline to begin at
		for name, window := range map[string]*time.Duration{"SWR": p.swr, "SIE": p.sie} {
			if window != nil {
				options = append(options, name, strconv.FormatInt(window.Milliseconds(), 10))
			}
		}
		if p.jitter > 0 {
			options = append(options, "JITTER", strconv.Itoa(p.jitter))
		}
	}
	tags := p.tags
	if p.tagsOf != nil {
		var err error
		if tags, err = p.tagsOf(value); err == nil {
			err = checkedTags(tags)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(tags) > 0 {
		options = append(append(options, "TAGS", strconv.Itoa(len(tags))), tags...)
	}
	if p.versionOf != nil {
		version, err := p.versionOf(value)
		if err == nil {
			err = checkedVersion(version)
		}
		if err != nil {
			return nil, err
		}
		options = append(options, "VERSION", strconv.FormatInt(version, 10))
	}
	return options, nil
}

func (p *plan) hasTags() bool { return len(p.tags) > 0 || p.tagsOf != nil }

func (p *plan) refuse(format string, words ...any) { p.keep(usage(format, words...)) }

// keep: the first of several is told.
func (p *plan) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

// What the server would refuse is found here: a FILL that it refuses would be everybody's, and each would build in vain.

func checkedTags(tags []string) error {
	if len(tags) > 32 {
		return usage("32 tags are allowed, not %d", len(tags))
	}
	for _, tag := range tags {
		if tag == "" || len(tag) > 255 {
			return usage("a tag takes 1 to 255 bytes, and %.40q has %d", tag, len(tag))
		}
	}
	return nil
}

func checkedVersion(n int64) error {
	if n < 0 || n >= 1<<53 {
		return usage("a version is 0 to 2^53-1, not %d", n)
	}
	return nil
}

// largest is what servers take: for more they close the connection, as if they were gone.
const largest = 512 << 20

func checkedSize(what string, bytes int) error {
	if bytes > largest {
		return usage("%s takes at most 512 MiB, not %d bytes", what, bytes)
	}
	return nil
}

func (p *plan) withinADay(name string, d time.Duration) {
	if d > 24*time.Hour {
		p.refuse("%s takes at most 24h, not %v", name, d)
	}
}

func (p *plan) above0(name string, d time.Duration) {
	if d <= 0 {
		p.refuse("%s takes a time above 0, not %v", name, d)
	}
}

func (p *plan) window(name string, d time.Duration) *time.Duration {
	if d < 0 {
		p.refuse("%s takes a time of 0 or more, not %v", name, d)
	}
	return &d
}

func count(name string, n, least int, set func(*settings)) CacheOption {
	return settingOption(func(s *settings) {
		if n < least {
			s.refuse("%s takes %d or more, not %d", name, least, n)
		}
		set(s)
	})
}

// ofValue keeps a function of a value's own type among options that know no types.
func ofValue[T, R any](p *plan, name string, f func(T) R) func(any) (R, error) {
	if f == nil {
		p.refuse("%s takes a function, not nil", name)
	}
	return func(value any) (R, error) {
		typed, ok := value.(T)
		if !ok && value != nil { // a nil value of an interface type has lost its type: its zero value is nil as well
			var none R
			return none, fmt.Errorf("corral.%s takes a %T, the build gave a %T", name, typed, value)
		}
		return f(typed), nil
	}
}

// milliseconds is at least 1: the server takes 0 for an error where a time must be a time.
func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}
