<?php

declare(strict_types=1);

namespace Corral\Links;

use Corral\Failure;
use Corral\Link;
use Corral\Servers;

/**
 * Over the extension. `connect`, never `pconnect`: a lease is tied to its connection, and must end with the request.
 * Without OPT_REPLY_LITERAL a status reply is true, and without OPT_MAX_RETRIES 0 a lost connection is opened anew in
 * silence and the command sent again: a lease of which nobody hears.
 */
final class PhpRedisLink extends Link
{
    private \Redis $redis;

    public function __construct(Servers $servers, string $host, int $port, float $timeout)
    {
        $this->redis = new \Redis();
        $address = $servers->tls !== null && !str_starts_with($host, '/') ? "tls://$host" : $host;
        $context = $servers->tls ? ['stream' => $servers->tls['ssl'] ?? []] : []; // what it calls stream is the context's ssl
        set_error_handler(static fn () => true); // the same text comes as a warning first
        try {
            $this->redis->connect($address, $port, $timeout, null, 0, self::READ_TIMEOUT, $context);
        } catch (\RedisException $error) {
            $this->usable = false;
            throw Failure::unreachable($error);
        } finally {
            restore_error_handler();
        }
        $this->redis->setOption(\Redis::OPT_MAX_RETRIES, 0);
        $this->redis->setOption(\Redis::OPT_REPLY_LITERAL, true);
        $this->redis->setOption(\Redis::OPT_READ_TIMEOUT, $this->readTimeout);
    }

    public function hurry(float $readTimeout): void
    {
        $this->readTimeout = $readTimeout;
        $this->redis->setOption(\Redis::OPT_READ_TIMEOUT, $readTimeout);
    }

    public function call(array $arguments): mixed
    {
        $this->asked = microtime(true);
        try {
            $reply = $this->redis->rawCommand(...$arguments);
        } catch (\RedisException | \ErrorException $error) { // the latter is a warning, where somebody makes errors of these
            throw $this->said() ?? $this->broken($error); // it raises some error replies and returns false for others
        } catch (\Throwable $interrupt) {
            throw $this->interrupted($interrupt);
        }
        if ($reply === false) {
            $said = $this->said();
            return $said === null ? null : throw $said;
        }
        return $reply;
    }

    private function said(): ?Failure
    {
        $said = $this->redis->getLastError();
        if ($said === null) {
            return null;
        }
        $this->redis->clearLastError(); // or it is that of the next nil, too
        return $this->refused($said);
    }

    protected function disconnect(): void
    {
        try {
            $this->redis->close();
        } catch (\RedisException) {
            // it is closed already
        }
    }
}
