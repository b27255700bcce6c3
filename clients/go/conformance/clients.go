package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"corral.example/corral-cache"
	"corral.example/corral-cache/goredis"
	"corral.example/corral-cache/rueidiscorral"
)

var log = slog.New(slog.NewTextHandler(os.Stderr, nil))

func version(library string) string {
	path := map[string]string{"go-redis": "github.com/redis/go-redis/v9", "rueidis": "github.com/redis/rueidis"}[library]
	if built, ok := debug.ReadBuildInfo(); ok {
		for _, module := range built.Deps {
			if module.Path == path {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "?"
}

// open makes the client as its library does for this topology, and a Cache over it.
func (d *driver) open(name string, r object) error {
	options := cacheOptions(r["options"])
	options = append(options, corral.Logger(log), corral.OnEvent(func(_ context.Context, e corral.Event) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.seen[name] = append(d.seen[name], e.Name)
	}))
	cache, err := d.made(r, options)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.corrals[name], d.seen[name] = cache, nil
	return err
}

func (d *driver) made(r object, options []corral.CacheOption) (*corral.Cache, error) {
	server, err := url.Parse(r["url"].(string))
	if err != nil {
		return nil, err
	}
	user := server.User.Username()
	password, _ := server.User.Password()
	resp := int(r["resp"].(float64))
	trusting, err := trusting(r)
	if err != nil {
		return nil, err
	}
	if d.library == "rueidis" {
		option := rueidis.ClientOption{
			InitAddress: []string{server.Host}, Username: user, Password: password, AlwaysRESP2: resp == 2, DisableCache: resp == 2,
			TLSConfig: trusting,
		}
		switch r["topology"] {
		case "cluster":
			option.InitAddress = texts(r["nodes"])
		case "sentinel":
			option.InitAddress = texts(r["sentinels"])
			option.Sentinel = rueidis.SentinelOption{MasterSet: r["service"].(string)}
		}
		return rueidiscorral.New(option, options...)
	}
	switch r["topology"] {
	case "cluster":
		return goredis.New(redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: texts(r["nodes"]), Username: user, Password: password, Protocol: resp,
		}), options...)
	case "sentinel":
		return goredis.New(redis.NewFailoverClient(&redis.FailoverOptions{
			SentinelAddrs: texts(r["sentinels"]), MasterName: r["service"].(string), Username: user, Password: password, Protocol: resp,
		}), options...)
	}
	return goredis.New(redis.NewClient(&redis.Options{
		Addr: server.Host, Username: user, Password: password, Protocol: resp, TLSConfig: trusting,
	}), options...)
}

// trusting is nil without TLS.
func trusting(r object) (*tls.Config, error) {
	file, ok := r["ca"].(string)
	if !ok {
		return nil, nil
	}
	certificate, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return &tls.Config{RootCAs: pool}, err
}

func callOptions(given any) []corral.Option {
	var made []corral.Option
	options, _ := given.(object)
	for name, value := range options {
		if option := callOption(name, value); option != nil {
			made = append(made, option)
		}
	}
	return made
}

func callOption(name string, value any) corral.Option {
	number, _ := value.(float64)
	switch name {
	case "ttl":
		return corral.TTL(seconds(number))
	case "swr":
		return corral.SWR(seconds(number))
	case "sie":
		return corral.SIE(seconds(number))
	case "jitter":
		return corral.Jitter(int(number))
	case "tags":
		return corral.Tags(texts(value)...)
	case "version":
		return corral.Version(int64(number))
	case "group":
		return corral.Group(value.(string))
	case "wait":
		return corral.Wait(seconds(number))
	case "lease":
		return corral.Lease(seconds(number))
	case "backoff":
		return corral.Backoff(seconds(number))
	case "on_timeout":
		return corral.BuildOnTimeout(value == "build")
	case "serializer":
		return corral.Serializer(map[any]corral.Codec{"json": corral.JSON, "bytes": corral.Bytes}[value])
	}
	return nil
}

func cacheOptions(given any) []corral.CacheOption {
	var made []corral.CacheOption
	options, _ := given.(object)
	for name, value := range options {
		number, _ := value.(float64)
		switch name {
		case "degrade":
			made = append(made, corral.Degrade(value != "raise"))
		case "degrade_limit":
			made = append(made, corral.DegradeLimit(int(number)))
		case "error_text":
			made = append(made, corral.ErrorText(value == true))
		case "max_waiting":
			made = append(made, corral.MaxWaiting(int(number)))
		case "local":
			made = append(made, corral.Local(int(number)))
		case "local_ttl":
			made = append(made, corral.LocalTTL(seconds(number)))
		default:
			option := callOption(name, value)
			if option == nil {
				panic("no such option: " + name)
			}
			made = append(made, option)
		}
	}
	return made
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func texts(value any) []string {
	var made []string
	list, _ := value.([]any)
	for _, one := range list {
		made = append(made, one.(string))
	}
	return made
}
