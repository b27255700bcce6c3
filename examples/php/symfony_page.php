<?php

/*
 * The same page with Symfony Cache: the pool is Corral's, the code is as with any other.
 *
 *     composer config repositories.corral path ../../clients/php && composer require corral/corral-cache symfony/cache
 *     REDIS_URL=redis://127.0.0.1:6379 php -S 127.0.0.1:8000 symfony_page.php
 */

declare(strict_types=1);

use Corral\Corral;
use Corral\Symfony\CorralAdapter;
use Symfony\Contracts\Cache\CacheInterface;
use Symfony\Contracts\Cache\ItemInterface;

require getenv('CORRAL_AUTOLOAD') ?: __DIR__ . '/vendor/autoload.php';
class_exists(ItemInterface::class) || require 'Symfony/Component/Cache/autoload.php'; // Debian's php-symfony-cache
require __DIR__ . '/shop.php';

function page(CacheInterface $pool, Shop $shop, string $day): string
{
    return $pool->get(strtr($day, ' ', '.'), function (ItemInterface $item) use ($shop, $day): string {
        $report = $shop->report($day);
        $item->expiresAfter(2); // counted from here, in whole seconds
        return sprintf('<h1>%s</h1><p>%d orders, %.2f</p>', htmlspecialchars($day), $report['orders'], $report['total']);
    });
}

$pool = new CorralAdapter(new Corral(getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379'), 'pages', options: ['swr' => 5, 'sie' => 3600]);
echo page($pool, new Shop(getenv('SHOP') ?: sys_get_temp_dir() . '/shop.sqlite'), $_GET['day'] ?? 'day 0');
