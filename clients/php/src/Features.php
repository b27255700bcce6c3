<?php

declare(strict_types=1);

namespace Corral;

/** What the server's module can, and what the user may. */
final class Features
{
    /**
     * @param list<string> $words   commands and options as CACHE.VERSION names them
     * @param list<string> $missing commands that the ACL refuses
     */
    public function __construct(public readonly string $version, public readonly array $words, public readonly array $missing)
    {
    }

    public function has(string $word): bool
    {
        return in_array(strtolower($word), $this->words, true);
    }
}
