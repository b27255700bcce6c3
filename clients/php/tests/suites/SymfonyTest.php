<?php

declare(strict_types=1);

use Corral\Corral;
use Corral\Symfony\CorralAdapter;
use Psr\Cache\CacheItemPoolInterface;
use Symfony\Component\Cache\Tests\Adapter\AdapterTestCase;

/** Symfony Cache's own suite for adapters. */
final class SymfonyTest extends AdapterTestCase
{
    protected $skippedTests = [
        'testClearPrefix' => 'a part of a namespace cannot be cleared: nothing lists keys',
        'testClearPrefixWithUnderscore' => 'a part of a namespace cannot be cleared: nothing lists keys',
    ];

    public function createCachePool(int $defaultLifetime = 0, ?string $testMethod = null): CacheItemPoolInterface
    {
        return new CorralAdapter(new Corral(server_url()), 'symfony', $defaultLifetime);
    }
}
