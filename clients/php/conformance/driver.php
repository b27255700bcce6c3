<?php

/*
 * The PHP driver of clients/conformance (its README says what a driver does). One call at a time, as a worker of
 * php-fpm: while a build waits for its gate only gates are heard, the rest comes after it.
 *
 * usage: php driver.php AUTOLOAD phpredis|predis
 */

declare(strict_types=1);

use Corral\BuildFailed;
use Corral\Cached;
use Corral\Corral;
use Corral\NotShared;
use Corral\Servers;

[, $autoload, $library] = $argv;
require $autoload;
if ($library === 'predis') {
    require_once 'Predis/autoload.php';
}
error_reporting(E_ALL);
ini_set('display_errors', 'stderr');

final class BuildError extends Exception
{
}

final class Answered extends Exception
{
    public function __construct(public readonly array $error)
    {
        parent::__construct();
    }
}

final class Driver
{
    /** @var array<string, Corral> */
    private array $objects = [];
    /** @var array<string, Cached> */
    private array $functions = [];
    private array $seen = [];
    private array $serializers = [];
    private array $gates = [];
    private array $later = [];
    private array $queue = [];

    public function __construct(private readonly string $library)
    {
    }

    public function main(): void
    {
        while (($request = array_shift($this->queue) ?? $this->read()) !== null) {
            self::say($this->answer($request));
            while (($job = array_shift($this->later)) !== null) {
                $job(); // as after the response
            }
        }
    }

    private function read(): ?array
    {
        $line = fgets(STDIN);
        return $line === false ? null : json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    }

    private static function say(array $message): void
    {
        fwrite(STDOUT, json_encode($message, JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION) . "\n");
        fflush(STDOUT);
    }

    private function answer(array $request): array
    {
        try {
            return ['id' => $request['id'], 'value' => $this->do($request)];
        } catch (Answered $answered) {
            return ['id' => $request['id'], 'error' => $answered->error];
        } catch (Throwable $error) {
            return ['id' => $request['id'], 'error' => self::described($error)];
        }
    }

    private function do(array $request): mixed
    {
        $corral = $this->objects[$request['corral'] ?? 'c'] ?? null;
        $function = $this->functions[$request['function'] ?? ''] ?? null;
        $arguments = $request['args'] ?? [];
        return match ($request['do']) {
            'hello' => ['language' => 'php', 'library' => $this->library . ' ' . ($this->library === 'predis' ? Predis\Client::VERSION : phpversion('redis')) . ', PHP ' . PHP_VERSION,
                'has' => ['cluster', 'sentinel', 'tls', 'fork', 'background', 'unencodable', 'closures', 'error_text']],
            'open' => $this->open($request),
            'close' => $corral->close(),
            'get_or_build' => $this->bytesOf($request['corral'] ?? 'c', $this->get($request['corral'] ?? 'c', $request['key'],
                $request['options'] ?? [], $request['build'], $request['id'], $request['mutate'] ?? false)),
            'define' => $this->define($request, $corral),
            'call' => $function(...$arguments),
            'refresh' => $function->refresh(...$arguments),
            'key' => $function->key(...$arguments),
            'invalidate_call' => $function->invalidate(...$arguments),
            'invalidate' => $corral->invalidate(...$request['keys']),
            'invalidate_tags' => $corral->invalidateTags($request['tags'], $request['swr'] ?? null),
            'outdate' => $corral->outdate($request['key'], $request['version']),
            'check' => ['version' => ($told = $corral->check())->version, 'missing' => $told->missing],
            'gate' => $this->gates[$request['gate']] = true,
            'events' => $this->seen[$request['corral'] ?? 'c'],
            'fork' => $this->forked($request['then']),
            default => throw new Answered(['type' => 'Unsupported', 'message' => $request['do']]),
        };
    }

    private function open(array $request): void
    {
        $name = $request['corral'];
        $this->seen[$name] = [];
        $this->serializers[$name] = $request['options']['serializer'] ?? 'json';
        $this->objects[$name] = new Corral(
            $this->servers($request),
            ...self::options($request['options'] ?? []),
            onEvent: function ($event) use ($name) { $this->seen[$name][] = $event->name; },
            background: function (Closure $job) { $this->later[] = $job; },
        );
    }

    /** Clients as each library makes them. The extension's own objects talk to the server when they are made, so there a URL. */
    private function servers(array $request): mixed
    {
        if (isset($request['ca'])) {
            return Servers::at($request['url'], tls: ['ssl' => ['cafile' => $request['ca']]], library: $this->library);
        }
        $user = parse_url($request['url'], PHP_URL_USER);
        $password = parse_url($request['url'], PHP_URL_PASS);
        $predis = $user === null ? [] : ['username' => $user, 'password' => $password];
        $addresses = fn (array $of) => array_map(fn ($node) => "tcp://$node", $of);
        return match ([$this->library, $request['topology']]) {
            ['phpredis', 'cluster'] => new RedisCluster(null, $request['nodes'], 2.0, 2.0, false, null),
            ['phpredis', 'sentinel'] => Servers::sentinel([new RedisSentinel(...$this->hostAndPort($request['sentinels'][0]))], $request['service']),
            ['predis', 'cluster'] => new Predis\Client($addresses($request['nodes']), ['cluster' => 'redis', 'parameters' => $predis]),
            ['predis', 'sentinel'] => new Predis\Client($addresses($request['sentinels']), ['replication' => 'sentinel', 'service' => $request['service'], 'parameters' => $predis]),
            ['predis', 'standalone'], ['predis', 'replica'] => new Predis\Client(str_replace('redis:', 'tcp:', preg_replace('#//.*@#', '//', $request['url'])), ['parameters' => $predis]),
            default => $request['url'],
        };
    }

    private function hostAndPort(string $text): array
    {
        [$host, $port] = explode(':', $text);
        return [$host, (int) $port];
    }

    private static function options(array $given): array
    {
        $options = [];
        foreach ($given as $name => $value) {
            if (!in_array($name, ['max_waiting', 'local', 'local_ttl'], true)) { // there is nothing of them in PHP
                $options[lcfirst(str_replace('_', '', ucwords($name, '_')))] = $value;
            }
        }
        return $options;
    }

    private function get(string $of, string $key, array $options, array $script, int $call, bool $mutate): mixed
    {
        $value = $this->objects[$of]->getOrBuild($key, $this->build($of, $key, $script, $call), ...self::options($options));
        if ($mutate) {
            $value[] = 'mutated';
        }
        return $value;
    }

    private function define(array $request, Corral $corral): void
    {
        $of = $request['corral'] ?? 'c';
        $made = null;
        $run = function (array $arguments) use (&$made, $of, $request): mixed {
            return $this->build($of, $made->key(...$arguments), $request['build'], $request['id'])();
        };
        $parameters = implode(', ', array_map(fn ($name) => "\$$name", $request['parameters']));
        $function = eval("return function ($parameters) use (\$run) { return \$run(func_get_args()); };");
        $made = $this->functions[$request['function']] = $corral->cached($request['template'], $function, ...self::options($request['options'] ?? []));
    }

    private function build(string $of, string $key, array $script, int $call): Closure
    {
        return function () use ($of, $key, $script, $call): mixed {
            self::say(['event' => 'begun', 'key' => $key, 'call' => $call, 'at' => hrtime(true) / 1e9]);
            try {
                $value = null;
                foreach ($script as $action) {
                    $value = $this->act($of, $action, $call);
                }
                return $value;
            } finally {
                self::say(['event' => 'ended', 'key' => $key, 'call' => $call, 'at' => hrtime(true) / 1e9]);
            }
        };
    }

    private function act(string $of, array $action, int $call): mixed
    {
        switch (true) {
            case isset($action['wait_for']):
                while (!isset($this->gates[$action['wait_for']])) {
                    $request = $this->read() ?? exit(0);
                    if ($request['do'] === 'gate') {
                        self::say($this->answer($request));
                    } else {
                        $this->queue[] = $request;
                    }
                }
                return null;
            case isset($action['sleep']):
                usleep((int) ($action['sleep'] * 1e6));
                return null;
            case isset($action['get_or_build']):
                $inner = $action['get_or_build'];
                return $this->get($of, $inner['key'], $inner['options'] ?? [], $inner['build'], $call, false);
            case isset($action['return_unencodable']):
                return NAN;
            case isset($action['raise']):
                throw new BuildError($action['raise']);
            case isset($action['exit']):
                posix_kill(getmypid(), SIGKILL);
                return null;
            case isset($action['fork']):
                if (pcntl_fork() === 0) {
                    sleep((int) $action['fork']);
                    posix_kill(getmypid(), SIGKILL);
                }
                return null;
            default:
                $value = $action['return'] ?? null;
                $value = isset($value['$bytes']) ? base64_decode($value['$bytes']) : $value;
                return ($action['not_shared'] ?? false) ? new NotShared($value) : $value;
        }
    }

    private function forked(array $then): mixed
    {
        $ends = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        if (pcntl_fork() === 0) {
            fwrite($ends[1], json_encode($this->answer($then + ['id' => -1])));
            fclose($ends[1]);
            posix_kill(getmypid(), SIGKILL); // the parent's objects are not to be destroyed
        }
        fclose($ends[1]);
        $answer = json_decode(stream_get_contents($ends[0]), true);
        pcntl_wait($status);
        if (isset($answer['error'])) {
            throw new Answered($answer['error']);
        }
        return $answer['value'];
    }

    private function bytesOf(string $corral, mixed $value): mixed
    {
        return $this->serializers[$corral] === 'bytes' ? ['$bytes' => base64_encode($value)] : $value;
    }

    private static function described(Throwable $error): array
    {
        $type = match (true) {
            $error instanceof BuildError => 'Build',
            $error instanceof BuildFailed => 'BuildFailed',
            $error instanceof \Corral\WaitTimeout => 'WaitTimeout',
            $error instanceof \Corral\ModuleMissing => 'ModuleMissing',
            $error instanceof \Corral\NoPermission => 'NoPermission',
            $error instanceof \Corral\NotAllAnswered => 'NotAllAnswered',
            $error instanceof \Corral\RecursiveBuild => 'Recursion',
            $error instanceof \Corral\Unavailable => 'Server',
            $error instanceof \Corral\Usage => 'Usage',
            $error instanceof JsonException => 'Encoding',
            default => 'Other',
        };
        $message = $type === 'Other' ? get_class($error) . ": $error" : $error->getMessage();
        return ['type' => $type, 'message' => $message] + ($type === 'BuildFailed' ? ['retry_after' => $error->retryAfter] : []);
    }
}

(new Driver($library))->main();
