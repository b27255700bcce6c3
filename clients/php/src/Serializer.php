<?php

declare(strict_types=1);

namespace Corral;

interface Serializer
{
    /** Raises its own error for what it refuses. */
    public function encode(mixed $value): string;

    public function decode(string $bytes): mixed;
}
