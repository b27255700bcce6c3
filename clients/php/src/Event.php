<?php

declare(strict_types=1);

namespace Corral;

/** For `onEvent`. Names: hit stale refresh built waited failed degraded not_stored. seconds: of a build or a wait. */
final class Event
{
    public function __construct(
        public readonly string $name,
        public readonly string $key,
        public readonly ?float $seconds = null,
        public readonly ?\Throwable $error = null,
    ) {
    }
}
