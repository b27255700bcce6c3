<?php

declare(strict_types=1);

namespace Corral\Laravel;

use Corral\Corral;
use Illuminate\Contracts\Cache\Store;

/**
 * Laravel's Store: plain strings of the server, as its own Redis store writes them, so that increment works and old
 * entries go on to serve. What stops stampedes is CorralRepository.
 */
final class CorralStore implements Store
{
    public function __construct(public readonly Corral $corral, private string $prefix = '')
    {
    }

    public function get($key)
    {
        return $this->many([$key])[$key];
    }

    public function many(array $keys)
    {
        $names = array_combine($keys, array_map(fn ($key) => $this->prefix . $key, $keys));
        $found = $names === [] ? [] : $this->corral->server()->readFresh(array_values($names));
        return array_map(fn (string $name) => isset($found[$name]) ? $this->corral->settings()->serializer->decode($found[$name]) : null, $names);
    }

    public function put($key, $value, $seconds)
    {
        return $this->write($key, $value, ['PX', max(1, (int) round($seconds * 1000))]) !== null;
    }

    public function putMany(array $values, $seconds)
    {
        foreach ($values as $key => $value) {
            $this->put($key, $value, $seconds);
        }
        return true;
    }

    public function add($key, $value, $seconds)
    {
        return $this->write($key, $value, ['PX', max(1, (int) round($seconds * 1000)), 'NX']) !== null;
    }

    public function forever($key, $value)
    {
        return $this->write($key, $value, []) !== null;
    }

    public function increment($key, $value = 1)
    {
        return $this->corral->server()->command('INCRBY', $this->prefix . $key, $value);
    }

    public function decrement($key, $value = 1)
    {
        return $this->increment($key, -$value);
    }

    public function forget($key)
    {
        return $this->corral->server()->command('DEL', $this->prefix . $key) > 0;
    }

    /** The whole database, as Laravel's own Redis store does. */
    public function flush()
    {
        $this->corral->server()->everywhere(['FLUSHDB']);
        return true;
    }

    public function getPrefix()
    {
        return $this->prefix;
    }

    public function setPrefix($prefix): void
    {
        $this->prefix = (string) $prefix;
    }

    /** @param list<string|int> $options */
    private function write(string|int $key, mixed $value, array $options): mixed
    {
        return $this->corral->server()->command('SET', $this->prefix . $key, $this->corral->settings()->serializer->encode($value), ...$options);
    }
}
