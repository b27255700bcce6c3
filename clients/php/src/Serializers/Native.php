<?php

declare(strict_types=1);

namespace Corral\Serializers;

use Corral\Serializer;

/** PHP's serialize(): for servers whose every writer you trust. */
final class Native implements Serializer
{
    public function encode(mixed $value): string
    {
        $all = [$value];
        array_walk_recursive($all, function (mixed $each): void {
            if (str_starts_with(gettype($each), 'resource')) { // for which PHP writes 0
                throw new \TypeError('serialize() has no resources: return what is in it');
            }
        });
        return serialize($value);
    }

    public function decode(string $bytes): mixed
    {
        $value = @unserialize($bytes);
        if ($value === false && $bytes !== 'b:0;') {
            throw new \UnexpectedValueException('what the key holds was not written by serialize()');
        }
        return $value;
    }
}
