<?php

declare(strict_types=1);

use Cache\IntegrationTests\CachePoolTest;
use Corral\Corral;
use Corral\Symfony\CorralAdapter;

/** php-cache's suite for PSR-6, as it is. */
final class Psr6Test extends CachePoolTest
{
    public function createCachePool()
    {
        return new CorralAdapter(new Corral(server_url()), 'psr6');
    }
}
