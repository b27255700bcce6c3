<?php

declare(strict_types=1);

namespace Corral\Serializers;

use Corral\Serializer;

/** Objects come back as arrays, to the builder's caller too. */
final class Json implements Serializer
{
    public function encode(mixed $value): string
    {
        $bytes = json_encode($value, JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        $all = [$value];
        array_walk_recursive($all, function (mixed $each): void {
            if ($each instanceof \Closure || $each instanceof \Generator) { // for which PHP writes {}
                throw new \JsonException('JSON has no ' . $each::class . ': return what it gives');
            }
        });
        return $bytes;
    }

    public function decode(string $bytes): mixed
    {
        return json_decode($bytes, true, 512, JSON_THROW_ON_ERROR);
    }
}
