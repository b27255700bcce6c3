// Package goredis lets Corral work over go-redis: its Client, also that of NewFailoverClient, and its ClusterClient.
package goredis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"corral.example/corral-cache"
)

// New makes a Cache of a *redis.Client or a *redis.ClusterClient. It takes the client's settings (addresses, TLS,
// credentials, dialer), and has connections of its own: go-redis' retries and time-outs would have a parked call sent four
// times. A Client of NewFailoverClient is asked where the master is, so close it after the Cache.
func New(client redis.UniversalClient, options ...corral.CacheOption) (*corral.Cache, error) {
	switch client := client.(type) {
	case *redis.Client:
		base := client.Options()
		where := base.Addr
		if where == "FailoverClient" {
			where = "the master that the sentinels name"
		}
		return corral.New(&library{base: *base, where: where}, options...)
	case *redis.ClusterClient:
		cluster := ofCluster(client.Options())
		if len(cluster.seeds) == 0 {
			return nil, fmt.Errorf("%w: goredis.New needs the Addrs of some of the cluster's nodes", corral.ErrUsage)
		}
		return corral.New(cluster, options...)
	}
	return nil, fmt.Errorf("%w: goredis.New takes a *redis.Client or a *redis.ClusterClient, not a %T", corral.ErrUsage, client)
}

// Open makes a Cache of a URL such as redis://user:password@127.0.0.1:6379.
func Open(url string, options ...corral.CacheOption) (*corral.Cache, error) {
	base, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", corral.ErrUsage, err)
	}
	return corral.New(&library{base: *base, where: base.Addr}, options...)
}

type library struct {
	base  redis.Options
	where string
	seeds []string
}

func ofCluster(o *redis.ClusterOptions) *library {
	return &library{
		where: strings.Join(o.Addrs, ", "), seeds: o.Addrs,
		base: redis.Options{
			ClientName: o.ClientName, Dialer: o.Dialer, OnConnect: o.OnConnect, Protocol: o.Protocol, Username: o.Username,
			Password: o.Password, CredentialsProvider: o.CredentialsProvider,
			CredentialsProviderContext: o.CredentialsProviderContext, StreamingCredentialsProvider: o.StreamingCredentialsProvider,
			PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
			ReadBufferSize: o.ReadBufferSize, WriteBufferSize: o.WriteBufferSize, TLSConfig: o.TLSConfig,
			DisableIdentity: o.DisableIdentity, IdentitySuffix: o.IdentitySuffix,
		},
	}
}

func (l *library) Where() string   { return l.where }
func (l *library) Seeds() []string { return l.seeds }

func (l *library) Node(address string, settings corral.NodeSettings) corral.Node {
	o := l.base
	if address != "" {
		o.Addr, o.NodeAddress = address, address
	}
	// What it does for its users by itself is off: an answer must never meet another question than its own, and a
	// question that was lost may have been granted a lease.
	o.MaxRetries, o.DialerRetries = -1, 1
	o.MinIdleConns, o.MaxActiveConns = 0, 0
	o.Limiter, o.AutoPipelineOptions = nil, nil
	o.ClientSideCache, o.ClientSideCacheConfig, o.PushNotificationProcessor = nil, nil, nil
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = settings.ReadTimeout, settings.ReadTimeout, settings.ReadTimeout
	// Its own full pool is no outage. When a server hangs, who queues is sent away by those who hold its connections.
	o.PoolTimeout = 2 * settings.ReadTimeout
	return &node{options: o, shared: redis.NewClient(&o)}
}

type node struct {
	options redis.Options
	shared  *redis.Client
}

func (n *node) Do(args []string) (any, error) {
	return result(n.shared.Do(context.Background(), words(args)...))
}

// Tracks: go-redis reads pushes only when a command is sent over the same connection.
func (n *node) Tracks() bool { return false }
func (n *node) Close()       { _ = n.shared.Close() }

// Open makes a client with one connection. A Conn of a larger one could not be closed: Close gives it back to the pool,
// and the tie stays; and no context interrupts a call that is parked.
func (n *node) Open() (corral.Conn, error) {
	o := n.options
	o.PoolSize, o.ReadBufferSize, o.WriteBufferSize = 1, 4096, 4096
	o.ConnMaxIdleTime, o.ConnMaxLifetime = -1, -1
	o.ContextTimeoutEnabled, o.ReadTimeout = true, -1 // each call says its own
	return conn{redis.NewClient(&o)}, nil
}

type conn struct{ client *redis.Client }

func (c conn) Do(limit time.Duration, args []string) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return result(c.client.Do(ctx, words(args)...))
}

func (c conn) Close() { _ = c.client.Close() }

func words(args []string) []any {
	made := make([]any, len(args))
	for at, arg := range args {
		made[at] = arg
	}
	return made
}

func result(cmd *redis.Cmd) (any, error) {
	reply, err := cmd.Result()
	if err == nil || errors.Is(err, redis.Nil) {
		return reply, nil
	}
	var said redis.Error
	if errors.As(err, &said) {
		return nil, &corral.ServerError{Message: said.Error()}
	}
	return nil, err
}
