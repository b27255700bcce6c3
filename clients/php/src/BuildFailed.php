<?php

declare(strict_types=1);

namespace Corral;

/** The last build of this key failed, here or elsewhere, and the next attempt is not allowed yet. */
final class BuildFailed extends CorralError
{
    /** @param float $retryAfter seconds */
    public function __construct(string $key, public readonly string $reason, public readonly float $retryAfter, ?\Throwable $cause = null)
    {
        parent::__construct("$key: $reason", 0, $cause);
    }
}
