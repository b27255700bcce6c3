<?php

declare(strict_types=1);

use Corral\BuildFailed;
use Corral\Corral;
use Corral\Laravel\CorralRepository;
use Corral\Laravel\CorralStore;
use Corral\Laravel\Values;
use Corral\Laravel\CorralServiceProvider;
use Illuminate\Cache\CacheManager;
use Illuminate\Config\Repository as Config;
use Illuminate\Container\Container;
use Illuminate\Contracts\Cache\Repository;
use PHPUnit\Framework\TestCase;

/** Against Laravel's own Repository and contracts, as illuminate/cache has them. */
final class LaravelTest extends TestCase
{
    private CorralRepository $cache;

    protected function setUp(): void
    {
        server('FLUSHALL');
        $this->cache = self::repository();
    }

    private static function repository(): CorralRepository
    {
        return new CorralRepository(new CorralStore(new Corral(server_url(), serializer: new Values(), backoff: 60), 'app:'));
    }

    public function testItIsLaravelsContract(): void
    {
        $this->assertInstanceOf(Repository::class, $this->cache);
        $this->assertInstanceOf(Illuminate\Contracts\Cache\Store::class, $this->cache->getStore());
    }

    public function testValuesOfAllTypesComeBack(): void
    {
        foreach ([1, -2, 1.5, 'text', '', '12', true, false, ['a' => [1]], new ArrayObject([1])] as $value) {
            $this->assertTrue($this->cache->put('k', $value, 60));
            $this->assertEquals($value, $this->cache->get('k'));
        }
        $this->assertNull($this->cache->get('not there'));
        $this->assertSame('default', $this->cache->get('not there', 'default'));
    }

    public function testNumbersComeBackAsTheyWere(): void
    {
        foreach ([1, PHP_INT_MIN, 1.0, 0.1 + 0.2, -0.0, 1e300, INF, '007', '1e3', '1.50'] as $number => $value) {
            $this->assertTrue($this->cache->put('k', $value, 60));
            $this->assertSame($value, $this->cache->get('k'));
            $this->assertSame($value, $this->cache->remember("r$number", 60, fn () => $value));
        }
    }

    public function testRememberBuildsOnceAndKeepsNull(): void
    {
        $built = 0;
        for ($time = 0; $time < 3; ++$time) {
            $this->assertNull($this->cache->remember('k', 60, function () use (&$built) { ++$built; return null; }));
        }
        $this->assertSame(1, $built);
        $this->assertSame('HIT', server('CACHE.GET', 'app:k')[0]);
    }

    public function testTheTtlsOfLaravel(): void
    {
        $this->cache->remember('seconds', 60, fn () => 1);
        $this->cache->remember('interval', new DateInterval('PT1M'), fn () => 1);
        $this->cache->remember('moment', new DateTimeImmutable('+1 minute'), fn () => 1);
        $this->cache->remember('closure', fn () => 60, fn () => 1);
        foreach (['seconds', 'interval', 'moment', 'closure'] as $key) {
            $this->assertEqualsWithDelta(60000, server('CACHE.GET', "app:$key")[2], 5000, $key);
            $past = new DateInterval('PT5S');
        $past->invert = 1;
        $this->assertSame([1, 2], [$this->cache->remember('past', $past, fn () => 1), $this->cache->remember('past', '60', fn () => 2)]);
        $this->assertSame(2, $this->cache->remember('past', 60, fn () => 3));
        $this->expectException(\Corral\Usage::class);
        $this->cache->remember('k', 'a while', fn () => 1);
    }
        $this->cache->rememberForever('ever', fn () => 1);
        $this->assertSame(-1, server('CACHE.GET', 'app:ever')[2]);
        $this->cache->flexible('flexible', [60, 90], fn () => 1);
        $this->assertEqualsWithDelta(90000, server('PTTL', 'app:flexible'), 5000);
    }

    public function testWhatRememberKeepsGetReadsAndForgetRemoves(): void
    {
        $this->cache->remember('k', 60, fn () => ['x' => 1]);
        $this->assertSame(['x' => 1], $this->cache->get('k'));
        $this->assertSame(['x' => 1], $this->cache->pull('k'));
        $this->assertFalse($this->cache->has('k'));
        $this->assertFalse($this->cache->forget('k'));
    }

    public function testNumbersAreCountedByTheServer(): void
    {
        $this->cache->put('n', 5, 60);
        $this->assertSame(7, $this->cache->increment('n', 2));
        $this->assertSame(6, $this->cache->decrement('n'));
        $this->assertSame(6, $this->cache->remember('n', 60, fn () => 0));
        $this->assertSame(1, $this->cache->increment('new'));
    }

    public function testAddAddsOnlyWhatIsNotThere(): void
    {
        $this->assertTrue($this->cache->add('k', 'first', 60));
        $this->assertFalse($this->cache->add('k', 'second', 60));
        $this->assertSame('first', $this->cache->get('k'));
    }

    public function testManyAtOnce(): void
    {
        $this->cache->putMany(['a' => 1, 'b' => 'two'], 60);
        $this->assertSame(['a' => 1, 'b' => 'two', 'c' => null], $this->cache->many(['a', 'b', 'c']));
        $this->cache->clear();
        $this->assertSame(['a' => null], $this->cache->many(['a']));
        $this->assertTrue($this->cache->putMany(['5' => 'five'], 60)); // whose key is a number to PHP
        $this->assertSame('five', $this->cache->get('5'));
    }

    public function testAFailedBuildIsNotTriedByEverybody(): void
    {
        try {
            $this->cache->remember('k', 60, fn () => throw new LogicException('source is down'));
            $this->fail('nothing was raised');
        } catch (LogicException) {
        }
        $this->expectException(BuildFailed::class);
        self::repository()->remember('k', 60, fn () => 'not tried');
    }

    public function testTheProviderMakesTheDriverOfAnApplication(): void
    {
        $app = new Container();
        $app->instance('config', new Config(['cache' => ['prefix' => 'shop:', 'stores' => [
            'corral' => ['driver' => 'corral', 'url' => server_url(), 'options' => ['sie' => 60]]]]]));
        $app->singleton('cache', fn ($app) => new CacheManager($app));
        (new CorralServiceProvider($app))->boot();
        $store = $app->make('cache')->store('corral');
        $this->assertInstanceOf(CorralRepository::class, $store);
        $this->assertSame('v', $store->remember('k', 60, fn () => 'v'));
        $this->assertEqualsWithDelta(120000, server('PTTL', 'shop:k'), 5000);
    }

    public function testAHerdInEightProcessesBuildsOnce(): void
    {
        $url = server_url();
        $log = tempnam(sys_get_temp_dir(), 'corral');
        $workers = [];
        for ($number = 0; $number < 8; ++$number) {
            $workers[] = new Worker("
                \$cache = new \\Corral\\Laravel\\CorralRepository(new \\Corral\\Laravel\\CorralStore(new \\Corral\\Corral('$url', serializer: new \\Corral\\Laravel\\Values(), wait: 30)));
                echo \$cache->remember('k', 60, function () { file_put_contents('$log', '.', FILE_APPEND); usleep(500000); return 'v'; });");
        }
        foreach ($workers as $worker) {
            $this->assertSame('v', $worker->finish());
        }
        $this->assertSame('.', file_get_contents($log));
        unlink($log);
    }
}
