<?php

declare(strict_types=1);

use Corral\Corral;
use PHPUnit\Framework\TestCase;

final class ProcessesTest extends TestCase
{
    private string $url;

    protected function setUp(): void
    {
        server('FLUSHALL');
        $this->url = server_url();
    }

    /** The extension's read time-out is PHP's default_socket_timeout unless it is set; predis' is a setting of its own. */
    public function testATimeoutOfOneSecondOfTheClientsDoesNotBiteWhoWaits(): void
    {
        [, , $token] = server('CACHE.GETORLOCK', 'k', 'LEASE', 60000);
        $waiters = array_map(fn ($library) => new Worker(
            "echo (new Corral(\Corral\Servers::at('{$this->url}', library: '$library'), wait: 30))->getOrBuild('k', fn () => 'own');",
            ['default_socket_timeout=1'],
        ), ['phpredis', 'predis']);
        until('both wait', fn () => str_contains(server('INFO', 'corral'), 'corral_waiters:2'));
        sleep(5); // longer than a slice and every time-out
        $this->assertTrue(server('CACHE.FILL', 'k', $token, '"theirs"', 'EX', 60));
        foreach ($waiters as $waiter) {
            $this->assertSame('theirs', $waiter->finish());
        }
    }

    public function testAWorkerThatExitsInTheMiddleOfABuildIsSucceededAtOnce(): void
    {
        $first = new Worker("(new Corral('{$this->url}', lease: 120))->getOrBuild('k', function () { echo \"building\\n\"; sleep(1); exit(1); });");
        $this->assertSame('building', $first->line());
        $this->assertSame('heir', (new Corral($this->url, wait: 30))->getOrBuild('k', fn () => 'heir'));
        $first->finish();
    }

    public function testAFatalErrorInABuildEndsItsLease(): void
    {
        $first = new Worker("(new Corral('{$this->url}', lease: 120))->getOrBuild('k', fn () => str_repeat('x', 1 << 30));", ['memory_limit=64M', 'display_errors=1', 'log_errors=0']);
        $this->assertStringContainsString('Allowed memory size', $first->finish());
        until('the lease has ended', fn () => server('CACHE.LEASES') === []);
    }

    public function testRefreshesThatAreTooManyAreLeftToThoseWhoAskNext(): void
    {
        foreach (range(1, 12) as $number) {
            server('CACHE.SET', "k$number", '"old"', 'PX', 1, 'SWR', 60000);
        }
        $worker = new Worker("function fastcgi_finish_request() {} // as in php-fpm there is an afterwards
            \$cache = new Corral('{$this->url}', ttl: 60, swr: 60);
            foreach (range(1, 12) as \$number) { if (\$cache->getOrBuild(\"k\$number\", fn () => 'new') !== 'old') { echo 'built at once'; } }
            echo count(server('CACHE.LEASES'));");
        $this->assertSame('8', $worker->finish());
        $states = array_map(fn ($number) => server('CACHE.GET', "k$number")[0], range(1, 12));
        $this->assertSame(['HIT' => 8, 'STALE' => 4], array_count_values($states));
        $this->assertSame([], server('CACHE.LEASES'));
    }

    public function testARefreshWhoseLeaseIsOverIsNotBuilt(): void
    {
        server('CACHE.SET', 'k', '"old"', 'PX', 1, 'SWR', 60000);
        $jobs = [];
        $cache = new Corral($this->url, swr: 60, lease: 0.01, background: function ($job) use (&$jobs) { $jobs[] = $job; });
        until('it is old', fn () => server('CACHE.GET', 'k')[0] === 'STALE');
        $built = 0;
        $this->assertSame('old', $cache->getOrBuild('k', function () use (&$built) { return ++$built; }));
        until('it is over', fn () => server('CACHE.LEASES') === []);
        $this->assertSame(['old', 0], [$jobs[0](), $built]);
    }

    public function testWhatASignalsHandlerRaisesEndsTheWaitAndReachesTheCaller(): void
    {
        server('CACHE.GETORLOCK', 'k', 'LEASE', 60000);
        $workers = array_map(fn ($library) => new Worker("pcntl_async_signals(true);
            pcntl_signal(SIGALRM, fn () => throw new DomainException('time is up'));
            \$cache = new Corral(\Corral\Servers::at('{$this->url}', library: '$library'), wait: 8);
            \$cache->getOrBuild('warm', fn () => 1);
            pcntl_alarm(1);
            try { \$cache->getOrBuild('k', fn () => 'own'); } catch (Throwable \$error) { echo get_class(\$error), ' ', \$cache->getOrBuild('warm', fn () => 2); }"), ['phpredis', 'predis']);
        foreach ($workers as $worker) {
            $this->assertSame('DomainException 1', $worker->finish());
        }
    }

    public function testAVerdictToAServerThatHangsIsNotSpokenTwice(): void
    {
        preg_match('/process_id:(\d+)/', server('INFO', 'server'), $found);
        $pid = (int) $found[1];
        $received = fn () => preg_match('/total_connections_received:(\d+)/', server('INFO', 'stats'), $found) ? $found[1] : null;
        try {
            foreach (['phpredis', 'predis'] as $library) {
                $cache = new Corral(\Corral\Servers::at($this->url, library: $library), logger: new class { public function __call($name, $args) {} });
                $cache->getOrBuild('warm', fn () => 1);
                $before = $received();
                $this->assertSame(5, $cache->getOrBuild("k $library", function () use ($pid) { posix_kill($pid, SIGSTOP); return 5; }));
                posix_kill($pid, SIGCONT);
                $this->assertSame($before, $received());
            }
        } finally {
            posix_kill($pid, SIGCONT);
        }
    }

    public function testAChildThatLeavesItsParentsBuildHasNoSayInIt(): void
    {
        foreach (['return "of the child"', 'throw new Exception("of the child")'] as $ending) {
            $worker = new Worker("\$parent = getmypid();
                try { (new Corral('{$this->url}', lease: 120))->getOrBuild('k', function () {
                    if ((\$child = pcntl_fork()) === 0) { $ending; }
                    pcntl_waitpid(\$child, \$status);
                    return 'of the parent'; }, ttl: 60);
                } catch (Exception) {}
                if (getmypid() !== \$parent) { posix_kill(getmypid(), SIGKILL); }");
            $this->assertSame('', $worker->finish());
            $this->assertSame('"of the parent"', server('CACHE.GET', 'k')[1]);
            server('FLUSHALL');
        }
    }

    public function testWithoutAServerOnlySoManyBuildsRunOnTheMachine(): void
    {
        $dead = 'redis://127.0.0.1:1';
        $log = tempnam(sys_get_temp_dir(), 'corral');
        $workers = [];
        for ($number = 0; $number < 6; ++$number) {
            $workers[] = new Worker("(new Corral('$dead', degradeLimit: 2, wait: 30))->getOrBuild('k$number', function () {
                file_put_contents('$log', '+', FILE_APPEND); usleep(200000); file_put_contents('$log', '-', FILE_APPEND); });");
        }
        array_map(fn ($worker) => $worker->finish(), $workers);
        [$running, $most] = [0, 0];
        foreach (str_split(file_get_contents($log)) as $sign) {
            $most = max($most, $running += $sign === '+' ? 1 : -1);
        }
        unlink($log);
        $this->assertSame([0, 2], [$running, $most]);
    }

    public function testAnOutageIsRememberedForTheNextRequestWhereThereIsApcu(): void
    {
        if (!extension_loaded('apcu')) {
            $this->markTestSkipped('the extension apcu is not there');
        }
        $silent = stream_socket_server('tcp://127.0.0.1:' . random_int(12000, 31000)); // accepts, and says nothing
        $url = 'redis://' . stream_socket_get_name($silent, false);
        $worker = new Worker("ini_set('error_log', '/dev/null'); \$began = microtime(true);
            (new Corral('$url'))->getOrBuild('k', fn () => 1); \$first = microtime(true);
            (new Corral('$url'))->getOrBuild('k', fn () => 1); \$second = microtime(true);
            echo \$first - \$began > 3, ' ', \$second - \$first < 1;", ['apc.enable_cli=1']);
        $this->assertSame('1 1', $worker->finish());
    }
}
