<?php

/* CORRAL_AUTOLOAD is that of an empty project in which the built package was installed: nothing here reads ../src. */

declare(strict_types=1);

require getenv('CORRAL_AUTOLOAD');
require __DIR__ . '/debian.php';
spl_autoload_register(static function (string $class): void {
    $prefix = 'Symfony\Component\Cache\Tests\\';
    if (str_starts_with($class, $prefix) && getenv('SYMFONY_CACHE_TESTS')) {
        $file = getenv('SYMFONY_CACHE_TESTS') . '/' . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
        is_file($file) && require $file;
    }
});

function server_url(): string
{
    return getenv('REDIS_URL') ?: 'redis://127.0.0.1:6379';
}

/** @return mixed the server's own answer, not by way of the package */
function server(string|int ...$command): mixed
{
    static $redis;
    if ($redis === null) {
        $redis = new Redis();
        $redis->connect(parse_url(server_url(), PHP_URL_HOST), parse_url(server_url(), PHP_URL_PORT));
    }
    return $redis->rawCommand(...$command);
}

/** Waits for what another process does. */
function until(string $what, Closure $condition, float $seconds = 20.0): void
{
    for ($end = microtime(true) + $seconds; !$condition(); usleep(10000)) {
        if (microtime(true) > $end) {
            throw new RuntimeException("$what: not within $seconds s");
        }
    }
}

/** A process that runs this code with the package at hand; its output comes back from `finish`. */
final class Worker
{
    /** @var resource */
    private $process;
    private array $pipes = [];

    /** @param list<string> $settings of php.ini */
    public function __construct(string $code, array $settings = [])
    {
        $flags = array_merge(...array_map(fn ($setting) => ['-d', $setting], $settings), ...[[]]);
        $program = 'require ' . var_export(__FILE__, true) . '; use Corral\Corral; ' . $code;
        $this->process = proc_open([PHP_BINARY, ...$flags, '-r', $program], [1 => ['pipe', 'w'], 2 => ['redirect', 1]], $this->pipes);
    }

    public function pid(): int
    {
        return proc_get_status($this->process)['pid'];
    }

    public function line(): string
    {
        return rtrim((string) fgets($this->pipes[1]));
    }

    public function kill(): void
    {
        proc_terminate($this->process, SIGKILL);
    }

    public function finish(): string
    {
        $said = stream_get_contents($this->pipes[1]);
        proc_close($this->process);
        return $said;
    }
}
