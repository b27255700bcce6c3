<?php

declare(strict_types=1);

namespace Corral;

/** `return new NotShared($value)` from a build: this value is for its caller only, and for a while everybody builds. */
final class NotShared
{
    public function __construct(public readonly mixed $value)
    {
    }
}
