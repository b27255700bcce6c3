<?php

declare(strict_types=1);

namespace Corral;

/** The right to build a key: tied to its connection, and so gone with the process, however that ends. */
final class Lease
{
    public bool $ended = false;
    private readonly int $process;

    public function __construct(public readonly string $key, public readonly int $token, public readonly Link $link, private readonly float $until)
    {
        $this->process = (int) getmypid();
    }

    /** After long in a queue somebody else may be building, or have built. */
    public function isOver(): bool
    {
        return microtime(true) >= $this->until;
    }

    /** A child that was forked in the build has no say in it, and nothing to say on the connection: its parent goes on building. */
    public function isMine(): bool
    {
        return $this->process === getmypid();
    }
}
