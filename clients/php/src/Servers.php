<?php

declare(strict_types=1);

namespace Corral;

/** Where the servers are and how connections to them are made: from a URL, from the client that you have, or said here. */
final class Servers
{
    /**
     * @param list<array{string, int}>  $addresses the server; or nodes of a cluster; or sentinels
     * @param list<\RedisSentinel>      $finders   objects of the extension that know the master, before $addresses
     * @param ?array<string, mixed>     $tls       null: none; otherwise a stream context, as ['ssl' => ['cafile' => …]]
     */
    private function __construct(
        public readonly array $addresses,
        public readonly bool $cluster = false,
        public readonly ?string $service = null,
        public readonly array $finders = [],
        public readonly ?string $username = null,
        #[\SensitiveParameter] public readonly ?string $password = null,
        public readonly int $database = 0,
        public readonly ?array $tls = null,
        public readonly string $library = 'phpredis',
        #[\SensitiveParameter] private readonly ?string $sentinelPassword = null,
    ) {
    }

    public static function of(mixed $given): self
    {
        return match (true) {
            $given instanceof self => $given,
            is_string($given) => self::at($given),
            $given instanceof \Redis => self::ofRedis($given),
            $given instanceof \RedisCluster => self::cluster(array_map(fn ($node) => implode(':', $node), $given->_masters())),
            $given instanceof \Predis\Client => self::ofPredis($given),
            default => throw new Usage('Corral takes a URL, a Redis, a RedisCluster, a Predis\Client or a Corral\Servers, not ' . get_debug_type($given)),
        };
    }

    /**
     * redis://user:password@host:port/database, rediss:// for TLS, unix:///path/of.sock.
     *
     * @param ?array<string, mixed> $tls a stream context, as ['ssl' => ['cafile' => …]]
     */
    public static function at(string $url, ?array $tls = null, ?string $library = null): self
    {
        $parts = parse_url(preg_replace('#^unix:(//)?/#', 'unix://localhost/', $url)); // it takes no URL without a host
        $scheme = $parts['scheme'] ?? '';
        if (!in_array($scheme, ['redis', 'rediss', 'tls', 'tcp', 'unix'], true)) {
            throw new Usage("the URL $url begins with neither redis://, rediss:// nor unix://");
        }
        parse_str($parts['query'] ?? '', $query);
        $path = $parts['path'] ?? '';
        return new self(
            [$scheme === 'unix' ? [$path, 0] : [$parts['host'] ?? '127.0.0.1', $parts['port'] ?? 6379]],
            username: isset($parts['user']) && $parts['user'] !== '' ? rawurldecode($parts['user']) : null,
            password: isset($parts['pass']) ? rawurldecode($parts['pass']) : null,
            database: (int) ($query['database'] ?? $query['dbindex'] ?? ($scheme === 'unix' ? 0 : ltrim($path, '/'))),
            tls: in_array($scheme, ['rediss', 'tls'], true) ? $tls ?? [] : $tls,
            library: self::library($library),
        );
    }

    /**
     * @param list<string>          $nodes "host:port" of some of them
     * @param ?array<string, mixed> $tls
     */
    public static function cluster(array $nodes, ?string $username = null, #[\SensitiveParameter] ?string $password = null, ?array $tls = null, ?string $library = null): self
    {
        return new self(array_map(self::address(...), $nodes), cluster: true, username: $username, password: $password, tls: $tls, library: self::library($library));
    }

    /**
     * @param list<string|\RedisSentinel> $sentinels "host:port", or objects of the extension
     * @param ?array<string, mixed>       $tls
     */
    public static function sentinel(array $sentinels, string $service, ?string $username = null, #[\SensitiveParameter] ?string $password = null, int $database = 0, ?array $tls = null, ?string $library = null, #[\SensitiveParameter] ?string $sentinelPassword = null): self
    {
        [$finders, $texts] = [array_filter($sentinels, 'is_object'), array_filter($sentinels, 'is_string')];
        return new self(array_map(self::address(...), array_values($texts)), service: $service, finders: array_values($finders),
            username: $username, password: $password, database: $database, tls: $tls, library: self::library($library), sentinelPassword: $sentinelPassword);
    }

    /** A new connection, with the user and the database set. */
    public function open(string $host, int $port, float $timeout = Link::CONNECT_TIMEOUT): Link
    {
        $link = $this->library === 'predis' ? new Links\PredisLink($this, $host, $port, $timeout) : new Links\PhpRedisLink($this, $host, $port, $timeout);
        if ($timeout < Link::CONNECT_TIMEOUT) {
            $link->hurry($timeout);
        }
        try {
            if ($this->password !== null && $this->password !== '') {
                $link->call($this->username === null ? ['AUTH', $this->password] : ['AUTH', $this->username, $this->password]);
            }
            if ($this->database !== 0) {
                $link->call(['SELECT', $this->database]);
            }
        } catch (Failure $failure) {
            $link->close();
            throw $failure;
        }
        return $link;
    }

    /**
     * The master that the first sentinel to answer names. Sentinels do not know the servers' users.
     *
     * @return array{string, int}
     */
    public function master(): array
    {
        $why = null;
        foreach ($this->finders as $finder) {
            try {
                $found = $finder->getMasterAddrByName($this->service);
                if (is_array($found)) {
                    return [$found[0], (int) $found[1]];
                }
            } catch (\RedisException $error) {
                $why = $error;
            }
        }
        $plain = new self($this->addresses, password: $this->sentinelPassword, tls: $this->tls, library: $this->library);
        foreach ($this->addresses as [$host, $port]) {
            try {
                $link = $plain->open($host, $port, 2.0);
                $found = $link->call(['SENTINEL', 'get-master-addr-by-name', (string) $this->service]);
                $link->close();
                if (is_array($found)) {
                    return [$found[0], (int) $found[1]];
                }
            } catch (Failure $failure) {
                $why = $failure;
            }
        }
        throw new Unavailable("no sentinel knows {$this->service}" . ($why === null ? '' : ": {$why->getMessage()}"), 0, $why);
    }

    private static function ofRedis(\Redis $redis): self
    {
        $host = $redis->getHost();
        if (!is_string($host) || $host === '') {
            throw new Usage('this Redis is not connected, and so names no server: connect() it first, or give a URL');
        }
        $auth = $redis->getAuth();
        [$username, $password] = is_array($auth) && count($auth) > 1 ? array_values($auth) : [null, is_array($auth) ? reset($auth) : $auth];
        $tls = preg_match('#^(tls|ssl)://#', $host) === 1;
        return new self([[preg_replace('#^\w+://#', '', $host), (int) $redis->getPort()]],
            username: $username, password: $password ?: null, database: (int) $redis->getDBNum(), tls: $tls ? [] : null, library: 'phpredis');
    }

    private static function ofPredis(\Predis\Client $client): self
    {
        $connection = $client->getConnection();
        $service = null;
        if ($connection instanceof \Predis\Connection\NodeConnectionInterface) {
            $nodes = [$connection];
        } elseif (str_contains(get_class($connection), 'SentinelReplication')) {
            // It shows its sentinels to nobody but the one that it would ask next.
            $nodes = [$connection->getSentinelConnection()];
            $service = (string) $client->getOptions()->service;
        } elseif (str_contains(get_class($connection), 'RedisCluster')) {
            $nodes = iterator_to_array($connection, false);
        } else {
            throw new Usage('a Predis\Client over ' . get_class($connection) . ' cannot be used: one server, a RedisCluster or sentinels');
        }
        $first = $nodes[0]->getParameters();
        $rights = $service === null ? $first : new \Predis\Connection\Parameters((array) $client->getOptions()->parameters);
        return new self(
            array_map(fn ($node) => $node->getParameters()->scheme === 'unix' ? [$node->getParameters()->path, 0]
                : [$node->getParameters()->host, (int) $node->getParameters()->port], $nodes),
            cluster: str_contains(get_class($connection), 'RedisCluster'),
            service: $service,
            username: $rights->username ?? null,
            password: $rights->password ?? null,
            database: (int) ($rights->database ?? 0),
            tls: in_array($first->scheme, ['tls', 'rediss'], true) ? ['ssl' => $first->ssl ?? []] : null,
            library: 'predis',
            sentinelPassword: $service === null ? null : $first->password,
        );
    }

    private static function library(?string $wanted): string
    {
        $wanted ??= extension_loaded('redis') ? 'phpredis' : 'predis';
        if ($wanted === 'phpredis' ? !extension_loaded('redis') : !class_exists(\Predis\Client::class)) {
            throw new Usage("$wanted is not there: install the extension redis, or predis/predis");
        }
        return $wanted;
    }

    /** @return array{string, int} */
    private static function address(string $text): array
    {
        if (preg_match('/^\[?(.+?)\]?:(\d+)$/', $text, $parts) !== 1) {
            throw new Usage("'$text' is no host:port");
        }
        return [$parts[1], (int) $parts[2]];
    }
}
