<?php

declare(strict_types=1);

use Cache\IntegrationTests\SimpleCacheTest;
use Corral\Corral;
use Corral\SimpleCache;

/** php-cache's suite for PSR-16, as it is. */
final class Psr16Test extends SimpleCacheTest
{
    public function createSimpleCache()
    {
        return new SimpleCache(new Corral(server_url(), serializer: 'php'), 'psr16.');
    }
}
