<?php

declare(strict_types=1);

namespace Corral;

use Psr\SimpleCache\CacheInterface;

/**
 * PSR-16, all versions of its interface. Its get and set promise nothing against stampedes (nobody knows there who will
 * build): `getOrBuild` does. Give it a Corral with `serializer: 'php'`, or only what JSON knows comes back as it was.
 */
final class SimpleCache implements CacheInterface
{
    /** @param string $prefix of all keys, and what clear() clears */
    public function __construct(private readonly Corral $corral, private readonly string $prefix = '')
    {
    }

    /**
     * @template T
     *
     * @param callable(): (T|NotShared) $build
     *
     * @return T
     */
    public function getOrBuild(string $key, callable $build, mixed ...$options): mixed
    {
        $tags = $options['tags'] ?? $this->corral->defaults()->tags;
        $options['tags'] = $tags instanceof \Closure ? fn ($value) => [...Call::tags($tags($value) ?? []), $this->tag()] : [...Call::tags($tags), $this->tag()];
        return $this->corral->getOrBuild($this->named($key), $build, ...$options);
    }

    public function get($key, $default = null): mixed
    {
        return $this->getMultiple([$key], $default)[$key];
    }

    public function set($key, $value, $ttl = null): bool
    {
        return $this->write([$this->named($key) => $value], $ttl);
    }

    public function delete($key): bool
    {
        return $this->deleteMultiple([$key]);
    }

    public function clear(): bool
    {
        $this->corral->invalidateTags($this->tag(), swr: 0);
        return true;
    }

    /** @return array<string, mixed> */
    public function getMultiple($keys, $default = null): iterable
    {
        $names = [];
        foreach ($this->listed($keys) as $key) {
            $names[$key] = $this->named($key);
        }
        $found = $names === [] ? [] : $this->corral->server()->readFresh(array_values($names));
        return array_map(fn (string $name) => isset($found[$name]) ? $this->corral->settings()->serializer->decode($found[$name]) : $default, $names);
    }

    public function setMultiple($values, $ttl = null): bool
    {
        if (!is_iterable($values)) {
            throw self::refused('the values are not iterable, but ' . get_debug_type($values));
        }
        $named = [];
        foreach ($values as $key => $value) {
            $named[$this->named(is_int($key) ? (string) $key : $key)] = $value;
        }
        return $this->write($named, $ttl);
    }

    /** @param array<string, mixed> $values */
    private function write(array $values, mixed $ttl): bool
    {
        $seconds = match (true) {
            $ttl === null => null,
            is_int($ttl) || $ttl instanceof \DateInterval => is_int($ttl) ? $ttl : (new \DateTimeImmutable('@0'))->add($ttl)->getTimestamp(),
            default => throw self::refused('a ttl is a number of seconds, a DateInterval or null, not ' . get_debug_type($ttl)),
        };
        foreach ($values as $name => $value) {
            if ($seconds !== null && $seconds <= 0) {
                $this->corral->server()->command('DEL', (string) $name);
                continue;
            }
            $bytes = $this->corral->settings()->serializer->encode($value);
            $this->corral->server()->command('CACHE.SET', (string) $name, $bytes, ...($seconds === null ? [] : ['EX', $seconds]), ...['TAGS', 1, $this->tag()]);
        }
        return true;
    }

    public function deleteMultiple($keys): bool
    {
        foreach (array_map($this->named(...), $this->listed($keys)) as $name) {
            $this->corral->server()->command('DEL', $name);
        }
        return true;
    }

    public function has($key): bool
    {
        return $this->corral->server()->readFresh([$this->named($key)]) !== [];
    }

    /** @return list<mixed> */
    private function listed(mixed $keys): array
    {
        return match (true) {
            is_array($keys) => array_values($keys),
            $keys instanceof \Traversable => iterator_to_array($keys, false),
            default => throw self::refused('the keys are not iterable, but ' . get_debug_type($keys)),
        };
    }

    private function named(mixed $key): string
    {
        if (!is_string($key) || $key === '' || strpbrk($key, '{}()/\@:') !== false) {
            throw self::refused('a key is a text, not empty and without any of {}()/\@: , not ' . var_export($key, true));
        }
        return $this->prefix . $key;
    }

    private function tag(): string
    {
        return "psr16:{$this->prefix}";
    }

    private static function refused(string $why): \InvalidArgumentException
    {
        return new class($why) extends \InvalidArgumentException implements \Psr\SimpleCache\InvalidArgumentException {
        };
    }
}
