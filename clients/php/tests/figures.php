<?php

/* A hit by the package, decoded, beside the same GETORLOCK by the bare client, not decoded, in turns: the middle of the ratios. */

declare(strict_types=1);

use Corral\Corral;
use Corral\Servers;

require __DIR__ . '/bootstrap.php';

const CALLS = 6000;

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
    for ($number = 0; $number < CALLS; ++$number) {
        $both = ['bare' => $bare, 'corral' => $ask];
        foreach ($number % 2 ? $both : array_reverse($both) as $name => $call) {
            $began = hrtime(true);
            $call();
            $times[$name][] = (hrtime(true) - $began) / 1e3;
        }
    }
    $times['ratio'] = array_map(fn ($mine, $bare) => $mine / $bare, $times['corral'], $times['bare']);
    $middle = array_map(function (array $of) { sort($of); return $of[intdiv(CALLS, 2)]; }, $times);
    $figures[] = sprintf('%s: a hit %.1f us beside %.1f, %.2f x', $library, $middle['corral'], $middle['bare'], $middle['ratio']);
}
$lines = array_sum(array_map(fn ($file) => count(file((string) $file)), iterator_to_array(new RegexIterator(new RecursiveIteratorIterator(
    new RecursiveDirectoryIterator(dirname((new ReflectionClass(Corral::class))->getFileName()))), '/\.php$/'), false)));
echo implode('; ', $figures), "; $lines lines\n";
