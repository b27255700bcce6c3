<?php

/* A hit by the package, which decodes it, beside the same GETORLOCK by the bare client, decoded too and not, in turns, the
order turned about each time: the middle of the ratios. */

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
    $decoded = fn () => json_decode($bare()[1], true, 512, JSON_THROW_ON_ERROR);
    $times = ['bare' => [], 'decoded' => [], 'corral' => []];
    for ($number = 0; $number < CALLS; ++$number) {
        $all = ['bare' => $bare, 'corral' => $ask, 'decoded' => $decoded];
        foreach ($number % 2 ? $all : array_reverse($all) as $name => $call) {
            $began = hrtime(true);
            $call();
            $times[$name][] = (hrtime(true) - $began) / 1e3;
        }
    }
    foreach (['decoded', 'bare'] as $other) {
        $times["beside $other"] = array_map(fn ($mine, $its) => $mine / $its, $times['corral'], $times[$other]);
    }
    $middle = array_map(function (array $of) { sort($of); return $of[intdiv(CALLS, 2)]; }, $times);
    $figures[] = sprintf('%s: a hit %.1f us beside %.1f, %.2f x (not decoded: %.2f x)', $library, $middle['corral'], $middle['decoded'],
        $middle['beside decoded'], $middle['beside bare']);
}
$lines = array_sum(array_map(fn ($file) => count(file((string) $file)), iterator_to_array(new RegexIterator(new RecursiveIteratorIterator(
    new RecursiveDirectoryIterator(dirname((new ReflectionClass(Corral::class))->getFileName()))), '/\.php$/'), false)));
echo implode('; ', $figures), "; $lines lines\n";
