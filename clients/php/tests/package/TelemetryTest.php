<?php

declare(strict_types=1);

use Corral\Corral;
use Corral\Telemetry;
use OpenTelemetry\API\Metrics\CounterInterface;
use OpenTelemetry\API\Metrics\HistogramInterface;
use OpenTelemetry\API\Metrics\MeterInterface;
use OpenTelemetry\API\Trace\SpanBuilderInterface;
use OpenTelemetry\API\Trace\SpanInterface;
use OpenTelemetry\API\Trace\StatusCode;
use OpenTelemetry\API\Trace\TracerInterface;
use PHPUnit\Framework\TestCase;

require_once __DIR__ . '/../opentelemetry.php';

/** What it is told, in one list. */
final class Recorded implements MeterInterface, CounterInterface, HistogramInterface, TracerInterface, SpanBuilderInterface, SpanInterface
{
    public function __construct(private ArrayObject $said, private string $of = '')
    {
    }

    public function createCounter(string $name, ?string $unit = null, ?string $description = null, array $advisory = []): CounterInterface
    {
        return new self($this->said, $name);
    }

    public function createHistogram(string $name, ?string $unit = null, ?string $description = null, array $advisory = []): HistogramInterface
    {
        return new self($this->said, "$name in $unit");
    }

    public function add(float|int $amount, iterable $attributes = [], mixed $context = null): void
    {
        $this->said[] = "$this->of +$amount " . json_encode($attributes);
    }

    public function record(float|int $amount, iterable $attributes = [], mixed $context = null): void
    {
        $this->said[] = $this->of . ($amount >= 0.01 && $amount < 60 ? ' took its time' : " took $amount");
    }

    public function spanBuilder(string $spanName): SpanBuilderInterface
    {
        return new self($this->said, $spanName);
    }

    public function setStartTimestamp(int $timestampNanos): SpanBuilderInterface
    {
        $ago = microtime(true) - $timestampNanos / 1e9;
        return new self($this->said, $this->of . ($ago >= 0.01 && $ago < 60 ? '' : " begun $ago s ago"));
    }

    public function setAttribute(string $key, mixed $value): SpanBuilderInterface
    {
        return new self($this->said, "$this->of $key=$value");
    }

    public function startSpan(): SpanInterface
    {
        return $this;
    }

    public function recordException(Throwable $exception, iterable $attributes = []): SpanInterface
    {
        $this->of .= ' ' . $exception->getMessage();
        return $this;
    }

    public function setStatus(string $code, ?string $description = null): SpanInterface
    {
        $this->of .= " $code";
        return $this;
    }

    public function end(?int $endEpochNanos = null): void
    {
        $this->said[] = $this->of;
    }
}

final class TelemetryTest extends TestCase
{
    private ArrayObject $said;
    private Corral $cache;

    protected function setUp(): void
    {
        server('FLUSHALL');
        $this->said = new ArrayObject();
        $this->cache = new Corral(server_url(), ttl: 60, backoff: 60, onEvent: new Telemetry(new Recorded($this->said), new Recorded($this->said)));
    }

    public function testCallsAreCountedAndABuildIsASpan(): void
    {
        $this->cache->getOrBuild('k', fn () => usleep(20_000) ?? 1);
        $this->assertSame(['corral.events +1 {"name":"built"}', 'corral.build in s took its time', 'corral build corral.key=k'], (array) $this->said);
        $this->cache->getOrBuild('k', fn () => 2);
        $this->assertSame('corral.events +1 {"name":"hit"}', $this->said[count($this->said) - 1]); // on a busy machine it may have waited, too
    }

    public function testAFailedBuildIsASpanWithItsError(): void
    {
        try {
            $this->cache->getOrBuild('k', fn () => usleep(20_000) ?? throw new LogicException('the database is down'));
            $this->fail('nothing was raised');
        } catch (LogicException) {
        }
        $this->assertSame([
            'corral.events +1 {"name":"failed"}', 'corral.build in s took its time',
            'corral build corral.key=k the database is down ' . StatusCode::STATUS_ERROR,
        ], (array) $this->said);
    }

    public function testAWaitForAnothersBuildIsASpan(): void
    {
        [, , $token] = server('CACHE.GETORLOCK', 'k', 'LEASE', 60000);
        $filling = new Worker('until("it waits", fn () => str_contains(server("INFO", "corral"), "corral_waiters:1")); usleep(20_000);'
            . "server('CACHE.FILL', 'k', '$token', '\"theirs\"');");
        $this->assertSame('theirs', $this->cache->getOrBuild('k', fn () => 'own', wait: 60));
        $this->assertSame('', $filling->finish());
        $this->assertSame([
            'corral.events +1 {"name":"waited"}', 'corral.wait in s took its time', 'corral wait corral.key=k',
            'corral.events +1 {"name":"hit"}',
        ], (array) $this->said);
    }

    public function testSymfonysBuildsAreToldToo(): void
    {
        require_once 'Symfony/Component/Cache/autoload.php';
        $pool = new \Corral\Symfony\CorralAdapter($this->cache, 'shop');
        $pool->get('k', fn () => usleep(20_000) ?? 1);
        $pool->clear();
        try {
            $pool->get('k', fn () => usleep(20_000) ?? throw new LogicException('the database is down'));
            $this->fail('nothing was raised');
        } catch (LogicException) {
        }
        $this->assertSame([
            'corral.events +1 {"name":"built"}', 'corral.build in s took its time',
            'corral.events +1 {"name":"failed"}', 'corral.build in s took its time',
        ], array_values(array_filter((array) $this->said, fn ($one) => str_starts_with($one, 'corral.'))));
    }
}
