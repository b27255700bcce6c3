<?php

declare(strict_types=1);

namespace Corral;

/**
 * For frameworks that build by themselves, and say get and set: what the key holds, or the right to build it.
 *
 * @internal
 */
final class Claim
{
    private readonly float $began;

    public function __construct(
        private readonly Leases $leases,
        private readonly Settings $settings,
        private readonly Call $asked,
        private readonly ?Lease $lease,
        public readonly ?string $bytes,
        public readonly bool $private = false,
    ) {
        $this->began = microtime(true);
    }

    public function isMine(): bool
    {
        return $this->lease !== null;
    }

    public function isOver(): bool
    {
        return $this->lease !== null && $this->lease->isOver();
    }

    /** False: the server did not keep it. */
    public function fill(string $bytes, Call $options): bool
    {
        $this->tell('built');
        return $this->lease !== null && $this->leases->conclude($this->lease, 'CACHE.FILL', $bytes, ...$options->fillOptions($bytes)) !== null;
    }

    /** The old value, if there is one that serves while builds fail. */
    public function fail(\Throwable $error): ?string
    {
        if ($this->lease === null) {
            return null;
        }
        $this->tell('failed', $error);
        $reply = $this->leases->conclude($this->lease, 'CACHE.FAIL', $this->leases->message($error), ...$this->asked->failOptions());
        return is_array($reply) && $reply[0] === 'STALE' ? $reply[1] : null;
    }

    /** For its caller alone: who waits now builds for himself, and the next one may store again. */
    public function pass(): void
    {
        if ($this->lease !== null) {
            $this->tell('built');
            $this->leases->conclude($this->lease, 'CACHE.PASS', 'PX', 1);
            usleep(2000); // so that this process does not meet its own mark
        }
    }

    /** Nothing was built: whoever waits longest is next. */
    public function release(): void
    {
        if ($this->lease !== null) {
            $this->leases->conclude($this->lease, 'CACHE.RELEASE');
        }
    }

    private function tell(string $name, ?\Throwable $error = null): void
    {
        if ($this->lease !== null) {
            $this->settings->tell($name, $this->lease->key, microtime(true) - $this->began, $error);
        }
    }
}
