<?php

declare(strict_types=1);

namespace Corral;

/** The right to build a key: tied to its connection, and so gone with the process, however that ends. */
final class Lease
{
    public function __construct(public readonly string $key, public readonly int $token, public readonly Link $link)
    {
    }
}
