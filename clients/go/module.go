package corral

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// module is what the server's Corral can do, asked once.
type module struct {
	version string
	has     map[string]bool // words as CACHE.VERSION says them: "cache.getorlock", "cache.renew tied"
}

// Checked is what Check found.
type Checked struct {
	// Version of the module, as it says it.
	Version string
	// Commands that it has.
	Commands []string
	// Missing are commands that the user may not run, or that the module does not have.
	Missing []string
}

// needed by every build; also used, by some.
var (
	needed = []string{"cache.getorlock", "cache.renew", "cache.fill", "cache.fail", "cache.pass", "cache.release"}
	also   = []string{"cache.get", "cache.invalidate", "cache.invalidatetag", "cache.outdate"}
)

// refusedArguments are such that the module refuses them after the ACL was asked: nothing happens. KEY stands for the key.
var refusedArguments = map[string][]string{
	"cache.getorlock": {"KEY", "LEASE", "0"}, "cache.renew": {"KEY", "0", "0"}, "cache.fill": {"KEY", "0", ""},
	"cache.fail": {"KEY", "0", ""}, "cache.pass": {"KEY", "0"}, "cache.release": {"KEY", "0"}, "cache.get": {"KEY"},
	"cache.invalidate": {"KEY"}, "cache.invalidatetag": {"0", ""}, "cache.outdate": {"KEY", "-1"},
}

// Check asks what the server has and what the user may not do.
func (c *Cache) Check(ctx context.Context) (Checked, error) {
	return await(ctx, func() (Checked, error) {
		// A key that nobody uses: INVALIDATE has no wrong arguments.
		key := fmt.Sprintf("corral-check-%x", rand.Uint64())
		m, err := c.askModule(key)
		if err != nil {
			return Checked{}, explained(err)
		}
		found := Checked{Version: m.version}
		var present []string
		for _, command := range slices.Concat(needed, also) {
			if m.has[command] {
				present = append(present, command)
			} else {
				found.Missing = append(found.Missing, command)
			}
		}
		for _, word := range slices.Sorted(maps.Keys(m.has)) {
			if !strings.Contains(word, " ") {
				found.Commands = append(found.Commands, word)
			}
		}
		forbidden, err := c.forbidden(key, present)
		if err != nil {
			return Checked{}, explained(err)
		}
		found.Missing = append(found.Missing, forbidden...)
		return found, nil
	})
}

// known is what the module can do. The first call asks, and also whether the user has what every build needs.
func (c *Cache) known(key string) (*module, error) {
	if m := c.module.Load(); m != nil {
		return m, nil
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	if m := c.module.Load(); m != nil {
		return m, nil
	}
	m, err := c.askModule(key)
	if err != nil {
		return nil, err
	}
	forbidden, err := c.forbidden(key, needed)
	if err != nil {
		return nil, err
	}
	if len(forbidden) > 0 {
		return nil, fmt.Errorf("%w: the user may not run %s: copy the line of ACL in the README", ErrNoPermission, strings.Join(forbidden, ", "))
	}
	c.module.Store(m)
	return m, nil
}

func (c *Cache) askModule(key string) (*module, error) {
	reply, err := c.servers.call(context.Background(), key, "CACHE.VERSION")
	if isUnknownCommand(err) {
		return c.firstVersion(key)
	}
	if err != nil {
		return nil, err
	}
	made := &module{has: map[string]bool{}}
	for name, value := range pairs(reply) {
		switch value := value.(type) {
		case string:
			if name == "version" {
				made.version = value
			}
		case []any:
			for _, word := range value {
				made.has[strings.ToLower(fmt.Sprint(word))] = true
			}
		}
	}
	return made, nil
}

// firstVersion has no CACHE.VERSION. Too few arguments are an error either way, and it tells a missing command from one
// that is there.
func (c *Cache) firstVersion(key string) (*module, error) {
	_, err := c.servers.call(context.Background(), key, "CACHE.GETORLOCK")
	if said := serverError(err); said == nil || !strings.Contains(said.Message, "wrong number of arguments") {
		return nil, err
	}
	made := &module{version: "1", has: map[string]bool{}}
	for _, command := range slices.Concat(needed, []string{"cache.get", "cache.set", "cache.touch", "cache.invalidate"}) {
		made.has[command] = true
	}
	return made, nil
}

func (c *Cache) forbidden(key string, commands []string) ([]string, error) {
	var refused []string
	for _, command := range commands {
		args := []string{command}
		for _, argument := range refusedArguments[command] {
			if argument == "KEY" {
				argument = key
			}
			args = append(args, argument)
		}
		_, err := c.servers.call(context.Background(), key, args...)
		said := serverError(err)
		switch {
		case err != nil && said == nil, said != nil && said.Code() == "NOAUTH":
			return nil, err
		case said != nil && said.Code() == "NOPERM" && strings.Contains(strings.ToLower(said.Message), "command"):
			refused = append(refused, command)
		}
	}
	return refused, nil
}

// supports says what this call wants and the module does not have.
func (m *module) supports(p *plan) error {
	for _, wanted := range []struct {
		yes  bool
		word string
	}{
		{p.hasTags(), "cache.fill tags"}, {p.versionOf != nil, "cache.fill version"}, {p.group != "", "cache.getorlock group"},
	} {
		if wanted.yes && !m.has[wanted.word] {
			return fmt.Errorf("%w: version %s has no %s", ErrUnsupported, m.version, strings.ToUpper(wanted.word))
		}
	}
	return nil
}

// pairs: RESP 2 sends maps as flat lists, and the libraries give RESP 3's with keys of one or another type.
func pairs(reply any) map[string]any {
	made := map[string]any{}
	switch reply := reply.(type) {
	case []any:
		for at := 0; at+1 < len(reply); at += 2 {
			made[fmt.Sprint(reply[at])] = reply[at+1]
		}
	case map[any]any:
		for name, value := range reply {
			made[fmt.Sprint(name)] = value
		}
	case map[string]any:
		return reply
	}
	return made
}
