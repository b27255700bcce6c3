<?php

declare(strict_types=1);

namespace Corral;

/** An invalidation did not reach every node: old values may still be served there. */
final class NotAllAnswered extends CorralError
{
    /** @param array<string, \Throwable> $nodes */
    public function __construct(public readonly array $nodes)
    {
        $told = array_map(fn (string $node, \Throwable $error) => "$node ({$error->getMessage()})", array_keys($nodes), $nodes);
        parent::__construct('not invalidated on ' . implode(', ', $told), 0, reset($nodes) ?: null);
    }
}
