<?php

declare(strict_types=1);

namespace Corral\Laravel;

use Closure;
use Corral\Usage;
use Illuminate\Cache\Repository;

/**
 * Laravel's cache whose `remember`, `rememberForever`, `sear` and `flexible` build once over all processes.
 *
 * @property CorralStore $store
 */
final class CorralRepository extends Repository
{
    public function __construct(CorralStore $store)
    {
        parent::__construct($store);
    }

    /** @param \DateTimeInterface|\DateInterval|Closure|int|null $ttl */
    public function remember($key, $ttl, Closure $callback)
    {
        return $this->built($key, $ttl instanceof Closure ? fn ($value) => $this->seconds($ttl($value)) : $this->seconds($ttl), [], $callback);
    }

    public function rememberForever($key, Closure $callback)
    {
        return $this->built($key, null, [], $callback);
    }

    public function sear($key, Closure $callback)
    {
        return $this->rememberForever($key, $callback);
    }

    /**
     * Fresh for the first, stale and served meanwhile until the second, both counted from now, as in Laravel 11.
     *
     * @param array{0: \DateTimeInterface|\DateInterval|int, 1: \DateTimeInterface|\DateInterval|int} $ttl
     */
    public function flexible($key, $ttl, $callback, $lock = null, $alwaysDefer = false)
    {
        $fresh = (float) $this->seconds($ttl[0]);
        return $this->built($key, $fresh, ['swr' => max(0.0, $this->seconds($ttl[1]) - $fresh)], $callback);
    }

    /** @param array<string, mixed> $options */
    private function built(string $key, mixed $ttl, array $options, callable $callback): mixed
    {
        return $this->store->corral->getOrBuild($this->store->getPrefix() . $this->itemKey($key), $callback, ...['ttl' => $ttl] + $options);
    }

    /** In the past is 0: for those who wait, not kept. */
    private function seconds(mixed $ttl): float|int|null
    {
        return match (true) {
            $ttl === null => null,
            $ttl instanceof \DateInterval => $this->seconds((new \DateTimeImmutable())->add($ttl)),
            $ttl instanceof \DateTimeInterface => max(0.0, (float) $ttl->format('U.u') - microtime(true)),
            is_numeric($ttl) => max(0, $ttl + 0), // also of an environment variable, as elsewhere in Laravel
            default => throw new Usage('a ttl is a number of seconds, an interval, a date or null, not ' . get_debug_type($ttl)),
        };
    }
}
