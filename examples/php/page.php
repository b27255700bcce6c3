<?php

/*
 * A page over SQLite: GET /?day=day+3 shows the day's report, POST adds an order and invalidates it.
 *
 *     composer config repositories.corral path ../../clients/php && composer require corral/corral-cache
 *     REDIS_URL=redis://127.0.0.1:6379 php -S 127.0.0.1:8000 page.php
 */

declare(strict_types=1);

use Corral\BuildFailed;
use Corral\Corral;

require getenv('CORRAL_AUTOLOAD') ?: __DIR__ . '/vendor/autoload.php';
require __DIR__ . '/shop.php';

$shop = new Shop(getenv('SHOP') ?: sys_get_temp_dir() . '/shop.sqlite');
$cache = new Corral(getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379');
$page = $cache->cached('page:{day}', function (string $day) use ($shop): string {
    $report = $shop->report($day);
    $rows = implode('', array_map(fn ($row) => "<li>{$row['city']}: {$row['cents']}", $report['cities']));
    return sprintf('<h1>%s</h1><p>%d orders, %.2f</p><ol>%s</ol>', htmlspecialchars($day), $report['orders'], $report['total'], $rows);
}, ttl: 1, swr: 5, sie: 3600);

$day = $_REQUEST['day'] ?? 'day 0';
try {
    if ($_SERVER['REQUEST_METHOD'] === 'POST') {
        $shop->order($day, $_POST['city'] ?? 'city 0', (int) ($_POST['cents'] ?? 100));
        $page->invalidate($day);
        http_response_code(204);
    } else {
        echo $page($day);
    }
} catch (BuildFailed $failed) {
    http_response_code(503);
    header('Retry-After: ' . (int) ceil($failed->retryAfter));
}
