<?php

declare(strict_types=1);

namespace Corral;

/**
 * Whether a server is out, and when it is to be tried again, by a PING that waits half a second at most. A request of
 * php-fpm remembers nothing, so with APCu it is kept for all requests of the machine.
 */
final class Outage
{
    private const KEPT_SECONDS = 30;

    /** @var ?array{error: string, pause: float, again: float} */
    private ?array $state = null;
    private readonly bool $shared;
    private readonly string $name;

    public function __construct(string $server)
    {
        $this->name = "corral:out:$server";
        $this->shared = function_exists('apcu_enabled') && apcu_enabled();
    }

    public function begin(string $error): void
    {
        $known = $this->known();
        $pause = min(max(0.1, ($known['pause'] ?? 0.0) * 2), 5.0);
        $this->keep(['error' => $error, 'pause' => $pause, 'again' => microtime(true) + $pause]);
    }

    /** Null: it is not out. */
    public function error(): ?string
    {
        return $this->known()['error'] ?? null;
    }

    /** True for one who asks, who is to try it. */
    public function isDue(): bool
    {
        $known = $this->known();
        if ($known === null || microtime(true) < $known['again']) {
            return false;
        }
        $this->keep(['again' => microtime(true) + 1.0] + $known); // the others wait for what this one finds
        return true;
    }

    public function end(): void
    {
        if ($this->state !== null) {
            $this->state = null;
            if ($this->shared) {
                apcu_delete($this->name);
            }
        }
    }

    /** @return ?array{error: string, pause: float, again: float} */
    private function known(): ?array
    {
        if ($this->shared) {
            $kept = apcu_fetch($this->name);
            $this->state = is_array($kept) ? $kept : null;
        }
        return $this->state;
    }

    /** @param array{error: string, pause: float, again: float} $state */
    private function keep(array $state): void
    {
        $this->state = $state;
        if ($this->shared) {
            apcu_store($this->name, $state, self::KEPT_SECONDS);
        }
    }
}
