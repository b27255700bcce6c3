<?php

declare(strict_types=1);

use Corral\BuildFailed;
use Corral\Call;
use Corral\Corral;
use Corral\Servers;
use Corral\NotAllAnswered;
use Corral\Template;
use Corral\Topology;
use Corral\Unsupported;
use Corral\Usage;
use PHPUnit\Framework\TestCase;

enum Size: string
{
    case Large = 'L';
}

final class CallsTest extends TestCase
{
    private string $url;

    protected function setUp(): void
    {
        server('FLUSHALL');
        $this->url = server_url();
    }

    public function testAnUnknownOptionIsRefusedAndTheKnownOnesAreNamed(): void
    {
        $this->expectException(Usage::class);
        $this->expectExceptionMessage('unknown option: tll; known are ttl, swr');
        (new Corral($this->url))->getOrBuild('k', fn () => 1, tll: 3);
    }

    /** @dataProvider wrong */
    public function testAWrongOptionSaysWhatItTakes(array $options, string $said): void
    {
        $this->expectException(Usage::class);
        $this->expectExceptionMessage($said);
        new Corral($this->url, ...$options);
    }

    public static function wrong(): array
    {
        return [
            [['ttl' => -1], 'ttl takes seconds'], [['ttl' => '60'], 'ttl takes seconds'], [['wait' => INF], 'wait takes seconds'],
            [['jitter' => 101], 'jitter takes a percentage'], [['tags' => 'red'], 'tags takes an array'],
            [['tags' => [null]], 'tags takes an array'], [['tags' => ['']], 'tags takes an array'], [['tags' => [['a']]], 'tags takes an array'],
            [['tags' => [new stdClass()]], 'tags takes an array'], [['version' => -1], 'version takes a whole number'],
            [['onTimeout' => 'wait'], "onTimeout takes 'raise' or 'build'"], [['degrade' => false], "degrade takes true or 'raise'"],
            [['degradeLimit' => 0], 'degradeLimit takes 1 and more'], [['serializer' => 'yaml'], "serializer takes 'json'"],
        ];
    }

    public function testAnIntervalIsSeconds(): void
    {
        $this->assertSame(['PX', 90000], (new Call())->but(['ttl' => new DateInterval('PT1M30S')])->fillOptions(1));
    }

    public function testTtlTagsAndVersionMayBeFunctionsOfTheValue(): void
    {
        $call = (new Call())->but(['ttl' => fn ($row) => $row['ttl'], 'tags' => fn ($row) => ["a:{$row['id']}"], 'version' => fn ($row) => $row['id']]);
        $this->assertSame(['PX', 2500, 'TAGS', 1, 'a:7', 'VERSION', 7], $call->fillOptions(['ttl' => 2.5, 'id' => 7]));
        $this->assertSame(['PXAT', 1], (new Call())->but(['ttl' => 0])->fillOptions(1));
    }

    public function testATemplateTakesPartsOfArguments(): void
    {
        $user = new class {
            public int $id = 7;

            public function getName(): string
            {
                return 'a:b';
            }
        };
        $template = new Template('{user.id}:{user.name}:{size}:{row.x}:{day}:{none}', fn ($user, $size, $row, $day = 'today', $none = null) => 0);
        $this->assertSame('7:a%3Ab:L:1:today:null', $template->key([$user, Size::Large, ['x' => 1]]));
        $this->assertSame('7:a%3Ab:L:1:monday:null', $template->key([$user, 'row' => ['x' => 1], 'size' => 'L', 'day' => 'monday']));
    }

    public function testTagsAreMadeOfArgumentsAsTheyAre(): void
    {
        $cache = new Corral($this->url, ttl: 60, tags: ['{all}']);
        $built = [];
        $page = $cache->cached('page:{user.id}:{day}', function (\stdClass $user, int $day = 1) use (&$built) {
            return $built[] = $day;
        }, tags: ['user:{user.id}', 'pages']);
        $ada = (object) ['id' => 'a:b'];
        $pages = fn () => [$page($ada), $page($ada, 2)];
        $this->assertSame([[1, 2], [1, 2], [1, 2]], [$pages(), $pages(), $built]);
        $cache->invalidateTags('user:a:b');
        $this->assertSame([[1, 2], [1, 2, 1, 2]], [$pages(), $built]);
        $page->refresh($ada, day: 2);
        $cache->invalidateTags('pages');
        $this->assertSame([[1, 2], [1, 2, 1, 2, 2, 1, 2]], [$pages(), $built]);
        // Those of all calls, and those of a call, are nobody's template.
        $default = $cache->cached('default:{day}', fn ($day) => $built[] = $day);
        $default(3);
        $cache->getOrBuild('one', fn () => 1, tags: ['day:{day}']);
        $this->assertSame(['HIT', 'HIT'], [server('CACHE.GET', 'default:3')[0], server('CACHE.GET', 'one')[0]]);
        $cache->invalidateTags(['{all}', 'day:{day}'], swr: 0);
        $this->assertSame(['MISS', 'MISS'], [server('CACHE.GET', 'default:3')[0], server('CACHE.GET', 'one')[0]]);
        $this->expectException(Usage::class);
        $this->expectExceptionMessage("template 'user:{id}': {id} is no parameter of the function, which has none");
        $cache->cached('all', fn () => 1, tags: ['pages', 'user:{id}']);
    }

    public function testAVersionAndAnInvalidationThatWereNotTakenAreToldAgain(): void
    {
        $cache = new Corral($this->url, ttl: 60, swr: 60);
        foreach ([fn () => $cache->outdate('k', 9), fn () => $cache->invalidate('k')] as $tell) {
            $cache->refresh('k', fn () => 1);
            $outage = (fn () => $this->server->topology->node('k')->outage)->call($cache);
            array_map($outage->begin(...), array_fill(0, 8, 'refused')); // as if it had been tried in vain for long
            (fn () => $this->server->topology->node('k')->dropIdle())->call($cache);
            $tell();
            $this->assertSame('STALE', server('CACHE.GET', 'k')[0]);
        }
        $lost = new Corral('redis://127.0.0.1:1');
        foreach ([fn () => $lost->outdate('k', 9), fn () => $lost->invalidate('k', 'l')] as $tell) {
            try {
                $tell();
                $this->fail('nobody took it');
            } catch (NotAllAnswered $error) {
                $this->assertStringContainsString('127.0.0.1:1 ', $error->getMessage());
            }
        }
    }

    public function testAMissingArgumentIsNamed(): void
    {
        $this->expectException(Usage::class);
        $this->expectExceptionMessage('the argument day is missing');
        (new Corral($this->url))->cached('report:{day}', fn (string $day) => 1)->key();
    }

    public function testSlotsAreThoseOfTheServer(): void
    {
        $this->assertSame(12739, Topology::slot('123456789'));
        $this->assertSame(Topology::slot('user1000'), Topology::slot('{user1000}.following'));
        $this->assertSame(Topology::slot('{}x'), Topology::slot('{}x'));
        $this->assertNotSame(Topology::slot(''), Topology::slot('{}x'));
    }

    public function testUrlsNameServersUsersDatabasesAndTls(): void
    {
        $at = Servers::at('rediss://app:p%40ss@cache:7000/3');
        $this->assertSame([['cache', 7000]], $at->addresses);
        $this->assertSame(['app', 'p@ss', 3, []], [$at->username, $at->password, $at->database, $at->tls]);
        $this->assertSame([['/run/redis.sock', 0]], Servers::at('unix:///run/redis.sock')->addresses);
        $this->expectException(Usage::class);
        Servers::at('localhost:6379');
    }

    public function testTheSettingsOfAConnectedRedisAreTaken(): void
    {
        $redis = new Redis();
        $redis->connect(parse_url($this->url, PHP_URL_HOST), parse_url($this->url, PHP_URL_PORT));
        $redis->select(2);
        $redis->setOption(Redis::OPT_PREFIX, 'ignored:');
        $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
        $this->assertSame('v', (new Corral($redis))->getOrBuild('k', fn () => 'v'));
        server('SELECT', 2);
        $this->assertSame('"v"', server('CACHE.GET', 'k')[1]);
        server('SELECT', 0);
    }

    public function testARedisThatIsNotConnectedIsRefusedWithAWordThatHelps(): void
    {
        $this->expectException(Usage::class);
        $this->expectExceptionMessage('connect() it first');
        new Corral(new Redis());
    }

    public function testWhatWasBuiltAndHowItWentIsToldToTheHook(): void
    {
        $seen = [];
        $cache = new Corral($this->url, ttl: 60, backoff: 60, onEvent: function ($event) use (&$seen) { $seen[] = "$event->name $event->key"; });
        $cache->getOrBuild('k', fn () => 1);
        $cache->getOrBuild('k', fn () => 1);
        try {
            $cache->getOrBuild('bad', fn () => throw new LogicException('no'));
            $this->fail('nothing was raised');
        } catch (LogicException) {
        }
        $this->assertSame(['built k', 'hit k', 'failed bad'], array_values(array_diff($seen, ['waited k']))); // as a hit does on a busy machine
    }

    public function testOtherProcessesAreToldTheClassOnlyIfTheTextIsASecret(): void
    {
        try {
            (new Corral($this->url, errorText: false))->getOrBuild('k', fn () => throw new LogicException('password=x'), backoff: 60);
        } catch (LogicException) {
        }
        $this->expectException(BuildFailed::class);
        $this->expectExceptionMessageMatches('/^k: LogicException$/');
        (new Corral($this->url))->getOrBuild('k', fn () => 1);
    }

    public function testAnErrorOfPhpIsAFailedBuildToo(): void
    {
        try {
            (new Corral($this->url, backoff: 60))->getOrBuild('k', fn () => intdiv(1, 0));
            $this->fail('nothing was raised');
        } catch (DivisionByZeroError) {
        }
        $this->assertSame('FAIL', server('CACHE.GET', 'k')[0]);
    }

    public function testTagsThatTheServerRefusesAreReportedAndTheCallerHasItsValue(): void
    {
        $seen = [];
        $cache = new Corral($this->url, logger: new class { public function __call($name, $args) {} }, onEvent: function ($event) use (&$seen) { $seen[] = $event->name; });
        $this->assertSame(1, $cache->getOrBuild('k', fn () => 1, tags: [str_repeat('x', 300)]));
        $this->assertSame(['built', 'not_stored'], $seen);
        $this->assertSame('FAIL', server('CACHE.GET', 'k')[0]);
    }

    public function testWhatIsWrongWithTagsAndVersionsIsSaidAndNothingOfItIsTakenForSomethingElse(): void
    {
        $cache = new Corral($this->url, backoff: 60);
        foreach ([['tags' => fn () => 'red'], ['tags' => fn () => [['a']]], ['version' => fn () => 1.9], ['version' => fn () => '5']] as $number => $wrong) {
            $this->assertRaises(Usage::class, fn () => $cache->getOrBuild("k$number", fn () => 1, ...$wrong));
            $this->assertSame('FAIL', server('CACHE.GET', "k$number")[0]);
        }
        $this->assertRaises(Usage::class, fn () => $cache->invalidateTags([['a']]));
        $this->assertRaises(Usage::class, fn () => $cache->invalidateTags(''));
    }

    public function testWhatTheServerRefusesInAVerdictIsToldAsAFailedBuild(): void
    {
        $cache = new Corral($this->url, logger: new class { public function __call($name, $args) {} });
        $this->assertRaises(LogicException::class, fn () => $cache->getOrBuild('k', fn () => throw new LogicException('no'), backoff: 1e9));
        $this->assertSame('FAIL', server('CACHE.GET', 'k')[0]);
    }

    public function testAnErrorThatCannotBePrintedIsAFailedBuildLikeAnyOther(): void
    {
        $cache = new Corral($this->url, backoff: 60, sie: 60, logger: new class { public function __call($name, $args) {} });
        $odd = new class extends Exception {
            public function __construct()
            {
                $this->message = new class { public function __toString(): string { throw new LogicException('no text'); } };
            }
        };
        foreach ([$odd, new Exception("caf\xe9 \xff")] as $number => $error) {
            $this->assertSame($error, $this->assertRaises(Exception::class, fn () => $cache->getOrBuild("k$number", fn () => throw $error)));
            [$state, $message] = server('CACHE.GET', "k$number");
            $this->assertSame(['FAIL', 1, false], [$state, preg_match('//u', $message), str_contains($message, __FILE__)]);
            server('CACHE.SET', "old$number", '"old"', 'PX', 1, 'SIE', 60000);
            until('it is over', fn () => server('CACHE.GET', "old$number")[0] !== 'HIT');
            $this->assertSame('old', $cache->getOrBuild("old$number", fn () => throw $error));
        }
    }

    public function testNoCallFailsBecauseTheHookOrTheLoggerDoes(): void
    {
        $broken = new class { public function __call($name, $args) { throw new RuntimeException('the disk is full'); } };
        $log = ini_set('error_log', '/dev/null');
        try {
            $this->assertSame(1, (new Corral('redis://127.0.0.1:1', logger: $broken))->getOrBuild('k', fn () => 1));
            $this->assertSame(2, (new Corral($this->url, logger: $broken, onEvent: fn () => throw new LogicException()))->getOrBuild('k', fn () => 2));
        } finally {
            ini_set('error_log', (string) $log);
        }
    }

    public function testTheHookThatAsksForWhatIsBeingBuiltIsToldSoAtOnce(): void
    {
        $cache = $refused = null;
        $cache = new Corral($this->url, wait: 60, onEvent: function ($event) use (&$cache, &$refused) {
            if ($event->name === 'built') {
                $refused = $this->assertRaises(\Corral\RecursiveBuild::class, fn () => $cache->getOrBuild('k', fn () => 2));
            }
        });
        $this->assertSame(1, $cache->getOrBuild('k', fn () => 1));
        $this->assertNotNull($refused);
    }

    public function testWhatASerializerWouldWriteAsSomethingElseIsRefused(): void
    {
        $json = new Corral($this->url);
        $native = new Corral($this->url, serializer: 'php');
        $this->assertRaises(JsonException::class, fn () => $json->getOrBuild('a', fn () => ['rows' => (fn () => yield 1)()]));
        $this->assertRaises(JsonException::class, fn () => $json->getOrBuild('b', fn () => fn () => 1));
        $this->assertRaises(TypeError::class, fn () => $native->getOrBuild('c', fn () => ['file' => fopen('php://memory', 'r')]));
        $this->assertSame(['FAIL', 'FAIL', 'FAIL'], array_map(fn ($key) => server('CACHE.GET', $key)[0], ['a', 'b', 'c']));
    }

    public function testObjectsThatAreGoneLeaveNoConnection(): void
    {
        gc_disable();
        $before = count(scandir('/proc/self/fd'));
        foreach (['phpredis', 'predis'] as $library) {
            for ($number = 0; $number < 10; ++$number) {
                (new Corral(Servers::at($this->url, library: $library)))->getOrBuild("k$number", fn () => 1);
            }
        }
        gc_enable();
        $this->assertSame($before, count(scandir('/proc/self/fd')));
    }

    public function testTheDefaultTagsAreThoseOfPsr16sTooAndItsWrongOnesAreRefused(): void
    {
        $cache = new Corral($this->url, tags: ['red']);
        $pool = new \Corral\SimpleCache($cache);
        $pool->getOrBuild('k', fn () => 1);
        $cache->invalidateTags('red', swr: 0);
        $this->assertSame(2, $pool->getOrBuild('k', fn () => 2));
        $this->assertRaises(Usage::class, fn () => $pool->getOrBuild('l', fn () => 1, tags: 'red'));
    }

    public function testWrongOptionsOfSymfonysAreRefusedWhenTheyAreSaid(): void
    {
        require_once 'Symfony/Component/Cache/autoload.php';
        foreach ([['tll' => 1], ['swr' => '60'], ['tags' => ['red']], ['ttl' => 60]] as $wrong) {
            $this->assertRaises(Usage::class, fn () => new \Corral\Symfony\CorralAdapter(new Corral($this->url), 'shop', options: $wrong));
        }
    }

    /** @param class-string<Throwable> $class */
    private function assertRaises(string $class, Closure $call): Throwable
    {
        try {
            $call();
        } catch (Throwable $error) {
            $this->assertInstanceOf($class, $error);
            return $error;
        }
        $this->fail("$class was not raised");
    }

    public function testWhenNothingIsKeptAfterTheResponseTheCallerBuilds(): void
    {
        server('CACHE.SET', 'k', '"old"', 'PX', 1, 'SWR', 60000);
        usleep(5000);
        $this->assertSame('new', (new Corral($this->url, swr: 60))->getOrBuild('k', fn () => 'new'));
        $this->assertSame('"new"', server('CACHE.GET', 'k')[1]);
    }

    public function testABackgroundHookIsGivenTheRefreshAndTheCallerTheOldValue(): void
    {
        server('CACHE.SET', 'k', '"old"', 'PX', 1, 'SWR', 60000);
        usleep(5000);
        $jobs = [];
        $cache = new Corral($this->url, swr: 60, background: function ($job) use (&$jobs) { $jobs[] = $job; });
        $this->assertSame('old', $cache->getOrBuild('k', fn () => 'new'));
        $jobs[0]();
        $this->assertSame('new', $cache->getOrBuild('k', fn () => 'newer'));
    }

    public function testAHookThatFailsGivesTheLeaseBack(): void
    {
        server('CACHE.SET', 'k', '"old"', 'PX', 1, 'SWR', 60000);
        usleep(5000);
        $cache = new Corral($this->url, logger: new class { public function __call($name, $args) {} }, background: fn () => throw new RuntimeException('queue is full'));
        $this->assertSame('old', $cache->getOrBuild('k', fn () => 'new'));
        $this->assertSame([], server('CACHE.LEASES'));
    }

    public function testWithoutTheServerSymfonysBuildsAreLimitedToo(): void
    {
        require_once 'Symfony/Component/Cache/autoload.php';
        $gone = new Corral('redis://127.0.0.1:1', degradeLimit: 1, wait: 60, logger: new class { public function __call($name, $args) {} });
        $this->assertSame('own', (new \Corral\Symfony\CorralAdapter($gone, 'shop'))->get('k', fn () => 'own'));
        $place = fopen(sprintf('%s/corral-%d-0.lock', sys_get_temp_dir(), posix_geteuid()), 'c');
        flock($place, LOCK_EX);
        try {
            $this->expectException(\Corral\WaitTimeout::class);
            (new \Corral\Symfony\CorralAdapter($gone, 'shop', options: ['wait' => 0.1]))->get('k', fn () => $this->fail('there is no place'));
        } finally {
            fclose($place);
        }
    }

    public function testAFailedBuildOfSymfonysIsAnsweredWithTheOldValue(): void
    {
        require_once 'Symfony/Component/Cache/autoload.php';
        $pool = new \Corral\Symfony\CorralAdapter(new Corral($this->url, logger: new class { public function __call($name, $args) {} }), 'shop', options: ['sie' => 60]);
        $build = fn ($item) => $item->expiresAfter(1) && true ? 'old' : null;
        $this->assertSame('old', $pool->get('k', $build));
        until('it is not fresh any more', fn () => !$pool->hasItem('k'));
        $this->assertSame('old', $pool->get('k', fn () => throw new LogicException('the database is down')));
        $this->assertSame('old', $pool->get('k', fn () => $this->fail('it is not asked again so soon')));
        $this->expectException(LogicException::class);
        $pool->get('another', fn () => throw new LogicException('the database is down'));
    }

    public function testWhatSomebodyHasRenewedSinceSymfonyReadItIsNotRenewedAgain(): void
    {
        require_once 'Symfony/Component/Cache/autoload.php';
        $pool = fn () => new \Corral\Symfony\CorralAdapter(new Corral($this->url), 'shop', options: ['swr' => 30]);
        [$one, $other, $builds] = [$pool(), $pool(), []];
        $build = function (string $value) use (&$builds): Closure {
            return function ($item) use ($value, &$builds) {
                $builds[] = $value;
                $item->expiresAfter(20);
                return $value;
            };
        };
        $one->get('k', $build('first'));
        $wrapper = $one->wrapper();
        $one->setCallbackWrapper(function ($callback, $item, &$save, ...$rest) use ($wrapper, $other, $build) {
            $other->get('k', $build('other'), INF);
            return $wrapper($callback, $item, $save, ...$rest);
        });
        $this->assertSame('other', $one->get('k', $build('own'), INF));
        $this->assertSame(['first', 'other'], $builds);
    }
}
