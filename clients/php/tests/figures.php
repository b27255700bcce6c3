<?php

/* A hit by the package beside the same GETORLOCK by the bare client, in turns; the middle of many. */

declare(strict_types=1);

use Corral\Corral;
use Corral\Servers;

require __DIR__ . '/bootstrap.php';

const CALLS = 300, TURNS = 60;

/** @return float seconds for one call */
function middle(array $times): float
{
    sort($times);
    return $times[intdiv(count($times), 2)] / CALLS;
}

$url = server_url();
foreach (['phpredis', 'predis'] as $library) {
    $cache = new Corral(Servers::at($url, library: $library), ttl: 600);
    $cache->getOrBuild('figures', fn () => 'a value of some length');
    $host = parse_url($url, PHP_URL_HOST);
    $port = parse_url($url, PHP_URL_PORT);
    $words = ['CACHE.GETORLOCK', 'figures', 'LEASE', '30000', 'TIED', 'BLOCK', '2000'];
    if ($library === 'phpredis') {
        $redis = new Redis();
        $redis->connect($host, $port);
        $bare = fn () => $redis->rawCommand(...$words);
    } else {
        $redis = new Predis\Client("tcp://$host:$port");
        $bare = fn () => $redis->executeRaw($words);
    }
    $ask = fn () => $cache->getOrBuild('figures', fn () => 'never');
    $times = ['bare' => [], 'corral' => []];
    for ($turn = 0; $turn < TURNS; ++$turn) {
        foreach (['bare' => $bare, 'corral' => $ask] as $name => $call) {
            $began = hrtime(true);
            for ($number = 0; $number < CALLS; ++$number) {
                $call();
            }
            $times[$name][] = (hrtime(true) - $began) / 1e9;
        }
    }
    $figures[] = sprintf('%s: a hit %.1f us, bare %.1f us, %.2f x', $library, middle($times['corral']) * 1e6, middle($times['bare']) * 1e6, middle($times['corral']) / middle($times['bare']));
}
$lines = array_sum(array_map(fn ($file) => count(file((string) $file)), iterator_to_array(new RegexIterator(new RecursiveIteratorIterator(
    new RecursiveDirectoryIterator(dirname((new ReflectionClass(Corral::class))->getFileName()))), '/\.php$/'), false)));
echo implode('; ', $figures), "; $lines lines\n";
