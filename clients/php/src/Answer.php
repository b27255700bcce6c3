<?php

declare(strict_types=1);

namespace Corral;

/** What GETORLOCK said at last. */
final class Answer
{
    /** @param ?Lease $lease with LOCK and REFRESH */
    public function __construct(public readonly string $state, public readonly ?string $value, public readonly int $number, public readonly ?Lease $lease)
    {
    }
}
