<?php

declare(strict_types=1);

namespace Corral;

/**
 * Values that are built once, however many processes ask for them at the same time.
 *
 *     $cache = new Corral('redis://localhost:6379', ttl: 60, swr: 30);
 *     $report = $cache->getOrBuild("report:$day", fn () => slowQuery($day));
 *
 * Options: README.md. Making an object talks to no server.
 */
final class Corral
{
    private readonly Settings $settings;
    private readonly Call $defaults;
    private readonly Server $server;
    private readonly Leases $leases;
    private readonly Places $places;
    /** @var array<string, true> the keys that this process is building, outermost first */
    private array $building = [];
    private bool $degraded = false; // a build without the server is running: a nested one needs no other place
    private bool $out = false;

    public function __construct(mixed $servers, mixed ...$options)
    {
        [$this->settings, $this->defaults] = Settings::split($options);
        $this->server = new Server(Servers::of($servers));
        $this->leases = new Leases($this->server, $this->settings);
        $this->places = new Places($this->settings->degradeLimit);
    }

    /**
     * @template T
     *
     * @param callable(): (T|NotShared) $build
     *
     * @return T decoded from what is stored, for the builder's caller too
     */
    public function getOrBuild(string $key, callable $build, mixed ...$options): mixed
    {
        return $this->ask($key, $build, $options === [] ? $this->defaults : $this->defaults->but($options), false);
    }

    /** Builds although the value is fresh; while somebody else does, waits for theirs. */
    public function refresh(string $key, callable $build, mixed ...$options): mixed
    {
        return $this->ask($key, $build, $this->defaults->but($options), true);
    }

    /**
     * A function whose values are kept: `$report = $cache->cached('report:{day}', fn (string $day) => …, ttl: 60)`.
     *
     * @template T
     *
     * @param callable(mixed ...$arguments): (T|NotShared) $function
     *
     * @return Cached<T>
     */
    public function cached(string $template, callable $function, mixed ...$options): Cached
    {
        $this->defaults->but($options); // what is wrong is said now
        return new Cached($this, $template, $function(...), $options);
    }

    /** Builds that began before are not stored. Raises NotAllAnswered if old values may still be served. */
    public function invalidate(string ...$keys): void
    {
        $this->server->invalidate(array_values($keys));
    }

    /**
     * On every master. Raises NotAllAnswered if one did not answer.
     *
     * @param string|list<string> $tags
     * @param ?float              $swr  so long old values may still serve; 0: not at all; null: as they were stored
     */
    public function invalidateTags(string|array $tags, int|float|null $swr = null): void
    {
        $tags = Call::tags((array) $tags);
        if ($tags !== []) {
            $this->server->invalidateTags($tags, $swr === null ? null : Call::seconds('swr', $swr));
        }
    }

    /** The source has this version of the key now: nothing older is stored any more. */
    public function outdate(string $key, int $version): void
    {
        $this->server->outdate($key, $version);
    }

    /** What the server's module can and what the user may not; raises ModuleMissing. */
    public function check(): Features
    {
        return $this->server->features('corral');
    }

    public function close(): void
    {
        $this->server->topology->close();
    }

    /**
     * For frameworks that build by themselves. Null: nobody can say, so `withoutServer`.
     *
     * @internal
     *
     * @param array<string, mixed> $options
     * @param list<string>         $force   words for who wants it built although it is fresh
     */
    public function claim(string $key, array $options = [], array $force = []): ?Claim
    {
        $o = $this->defaults->but($options);
        try {
            [$state, $value, $number, $lease] = $this->leases->ask($key, $o, microtime(true) + $o->wait, $force);
        } catch (Unavailable $outage) {
            if ($this->settings->degrade === 'raise') {
                throw $outage;
            }
            $this->sayOut($key, $outage);
            return null;
        }
        if ($state === 'FAIL') {
            throw new BuildFailed($key, (string) $value, max(0, $number) / 1000);
        }
        if ($state === 'WAIT' && $o->onTimeout === 'raise') {
            throw $this->impatience($key, $o);
        }
        $event = ['HIT' => 'hit', 'STALE' => 'stale', 'REFRESH' => 'refresh'][$state] ?? null;
        if ($event !== null) {
            $this->settings->tell($event, $key);
        }
        return new Claim($this->leases, $this->settings, $o, $lease, is_string($value) ? $value : null, $state === 'PASS' || $state === 'WAIT');
    }

    /**
     * For frameworks whose `claim` found no server: one of the builds that may run at once then. It is not stored.
     *
     * @internal
     *
     * @param array<string, mixed> $options
     */
    public function withoutServer(string $key, callable $build, array $options = []): mixed
    {
        $o = $this->defaults->but($options);
        return $this->placed($key, fn () => $this->call($key, $build), $o, microtime(true) + $o->wait);
    }

    /** @internal */
    public function server(): Server
    {
        return $this->server;
    }

    /** @internal */
    public function defaults(): Call
    {
        return $this->defaults;
    }

    /** @internal */
    public function settings(): Settings
    {
        return $this->settings;
    }

    private function ask(string $key, callable $build, Call $o, bool $force): mixed
    {
        if (isset($this->building[$key])) {
            throw new RecursiveBuild("the build of $key asks for $key, and would wait for itself");
        }
        $force = $force ? ['FORCE', 'NOSTALE'] : [];
        $link = $met = null;
        try {
            $link = $this->server->topology->node($key)->idle();
            if ($link !== null) { // nearly always, and nearly always it is a hit, which needs nothing of what comes after
                try {
                    $reply = $link->call(['CACHE.GETORLOCK', $key, ...$force, ...$o->asking()]);
                    $hears = $this->settings->hears;
                    if (is_array($reply) && $reply[0] === 'HIT' && !($hears && microtime(true) - $link->asked > Leases::WAIT_WORTH_TELLING)) {
                        $link->node->give($link);
                        if ($hears) {
                            $this->settings->tell('hit', $key);
                        }
                        return $this->settings->serializer->decode($reply[1]);
                    }
                    $met = [$reply, $link];
                } catch (Failure $failure) {
                    $met = [$failure, $link];
                }
            }
            $deadline = ($link?->asked ?? microtime(true)) + $o->wait;
            [$state, $value, $number, $lease] = $this->leases->ask($key, $o, $deadline, $force, $met);
        } catch (Unavailable $outage) {
            if ($this->settings->degrade === 'raise') {
                throw $outage;
            }
            $this->sayOut($key, $outage);
            return $this->placed($key, fn () => $this->alone($key, $build), $o, $deadline ?? microtime(true) + $o->wait);
        }
        if ($this->out) {
            $this->out = false;
            $this->settings->log('warning', 'the server is back');
        }
        if ($lease !== null) {
            return $state === 'LOCK' || $force !== [] ? $this->build($lease, $build, $o) : $this->buildBehind($lease, (string) $value, $build, $o);
        }
        switch ($state) {
            case 'HIT':
            case 'STALE':
                $this->settings->tell($state === 'HIT' ? 'hit' : 'stale', $key);
                return $this->settings->serializer->decode((string) $value);
            case 'PASS':
                return $this->alone($key, $build);
            case 'FAIL':
                throw new BuildFailed($key, (string) $value, max(0, $number) / 1000);
            default: // WAIT: the patience is over
                return $o->onTimeout === 'build' ? $this->alone($key, $build) : throw $this->impatience($key, $o);
        }
    }

    private function build(Lease $lease, callable $build, Call $o): mixed
    {
        $began = microtime(true);
        $this->building[$lease->key] = true; // until the verdict: the hook that is told of it may ask, too
        try {
            try {
                $made = $build();
                $shared = !$made instanceof NotShared;
                $bytes = $this->settings->serializer->encode($shared ? $made : $made->value);
                $options = $shared ? $o->fillOptions($made) : [];
            } catch (\Throwable $error) {
                // Also what the serializer refuses: a released lease would have every waiter build it again.
                return $this->failed($lease, $error, $o, microtime(true) - $began);
            }
            $this->settings->tell('built', $lease->key, microtime(true) - $began);
            $shared ? $this->leases->conclude($lease, 'CACHE.FILL', $bytes, ...$options) : $this->leases->conclude($lease, 'CACHE.PASS');
            return $this->settings->serializer->decode($bytes);
        } finally {
            if (!$lease->ended) { // a Fiber that was destroyed in the middle of its build: says nothing about the source
                $this->leases->conclude($lease, 'CACHE.RELEASE');
            }
            unset($this->building[$lease->key]);
        }
    }

    private function failed(Lease $lease, \Throwable $error, Call $o, float $seconds): mixed
    {
        $this->settings->tell('failed', $lease->key, $seconds, $error);
        $reply = $this->leases->conclude($lease, 'CACHE.FAIL', $this->leases->message($error), ...$o->failOptions());
        if (is_array($reply) && $reply[0] === 'STALE') {
            $this->settings->log('error', "the build of {$lease->key} failed, and its old value is served", $error);
            return $this->settings->serializer->decode($reply[1]);
        }
        throw $error;
    }

    private function buildBehind(Lease $lease, string $old, callable $build, Call $o): mixed
    {
        $this->settings->tell('refresh', $lease->key);
        $release = fn () => $this->leases->conclude($lease, 'CACHE.RELEASE');
        $job = function () use ($lease, $build, $o, $old, $release): mixed {
            if ($lease->isOver()) {
                $release();
                return $this->settings->serializer->decode($old);
            }
            $building = $this->building; // whoever began it does not wait for it
            $this->building = [];
            try {
                return $this->build($lease, $build, $o);
            } catch (\Throwable $error) {
                $this->settings->log('error', "refreshing {$lease->key} failed", $error);
                return $this->settings->serializer->decode($old);
            } finally {
                $this->building = $building;
            }
        };
        if ($this->settings->background !== null) {
            try {
                ($this->settings->background)($job);
            } catch (\Throwable $error) {
                $this->settings->log('error', "refreshing {$lease->key} could not be begun", $error);
                $release();
            }
        } elseif (!Refreshes::later($job, $release)) {
            return $job();
        }
        return $this->settings->serializer->decode($old);
    }

    /** A build without the server, in one of the places for it. */
    private function placed(string $key, callable $build, Call $o, float $deadline): mixed
    {
        $nested = $this->degraded;
        if (!$nested && !$this->places->enter($deadline - microtime(true))) {
            return $o->onTimeout === 'build' ? $build() : throw $this->impatience($key, $o);
        }
        $this->degraded = true;
        $began = microtime(true);
        try {
            return $build();
        } catch (\Throwable $error) {
            $this->settings->tell('failed', $key, microtime(true) - $began, $error);
            throw $error;
        } finally {
            if (!$nested) {
                $this->degraded = false;
                $this->places->leave();
            }
        }
    }

    /** Not stored, but decoded from a copy as everybody's is. */
    private function alone(string $key, callable $build): mixed
    {
        $made = $this->call($key, $build);
        return $this->settings->serializer->decode($this->settings->serializer->encode($made instanceof NotShared ? $made->value : $made));
    }

    private function call(string $key, callable $build): mixed
    {
        $this->building[$key] = true;
        try {
            return $build();
        } finally {
            unset($this->building[$key]);
        }
    }

    private function impatience(string $key, Call $o): WaitTimeout
    {
        $inside = array_keys($this->building);
        $hint = $inside === [] ? '' : ' while building ' . implode(' and ', $inside) . ': two builds may be waiting for each other';
        return new WaitTimeout("$key was not there within {$o->wait} s$hint");
    }

    private function sayOut(string $key, Unavailable $outage): void
    {
        if (!$this->out) {
            $this->out = true;
            $this->settings->log('error', "the server is out, values are built here, {$this->settings->degradeLimit} at once: {$outage->getMessage()}");
        }
        $this->settings->tell('degraded', $key, null, $outage);
    }
}
