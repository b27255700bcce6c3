<?php

declare(strict_types=1);

namespace Corral;

/** A reply, and the connection that it came over, to be kept or given back. */
final class Reached
{
    public function __construct(public readonly mixed $reply, public readonly Node $node, public readonly Link $link)
    {
    }
}
