<?php

declare(strict_types=1);

namespace Corral\Serializers;

use Corral\Serializer;

final class Bytes implements Serializer
{
    public function encode(mixed $value): string
    {
        return is_string($value) ? $value : throw new \TypeError("the serializer 'bytes' takes a string, not " . get_debug_type($value));
    }

    public function decode(string $bytes): mixed
    {
        return $bytes;
    }
}
