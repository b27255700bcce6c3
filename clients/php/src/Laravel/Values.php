<?php

declare(strict_types=1);

namespace Corral\Laravel;

use Corral\Serializer;
use Corral\Serializers\Native;

/** As Laravel's Redis store: whole numbers as text, which the server can count with, everything else by serialize(). */
final class Values implements Serializer
{
    private readonly Native $native;

    public function __construct()
    {
        $this->native = new Native();
    }

    public function encode(mixed $value): string
    {
        return is_int($value) ? (string) $value : $this->native->encode($value); // the text of a float is not all of it
    }

    public function decode(string $bytes): mixed
    {
        return is_numeric($bytes) ? $bytes + 0 : $this->native->decode($bytes);
    }
}
