<?php

/*
 * OpenTelemetry's library is no package of Debian's. Where it is not installed these are of its interfaces (open-telemetry/api 1)
 * the methods that Corral\Telemetry calls, with their signatures, so that a test can record what they are told.
 */

declare(strict_types=1);

namespace OpenTelemetry\API\Metrics {
    if (!interface_exists(MeterInterface::class)) {
        interface CounterInterface
        {
            public function add(float|int $amount, iterable $attributes = [], mixed $context = null): void;
        }

        interface HistogramInterface
        {
            public function record(float|int $amount, iterable $attributes = [], mixed $context = null): void;
        }

        interface MeterInterface
        {
            public function createCounter(string $name, ?string $unit = null, ?string $description = null, array $advisory = []): CounterInterface;

            public function createHistogram(string $name, ?string $unit = null, ?string $description = null, array $advisory = []): HistogramInterface;
        }
    }
}

namespace OpenTelemetry\API\Trace {
    if (!interface_exists(TracerInterface::class)) {
        interface StatusCode
        {
            public const STATUS_ERROR = 'Error';
        }

        interface SpanInterface
        {
            public function recordException(\Throwable $exception, iterable $attributes = []): SpanInterface;

            public function setStatus(string $code, ?string $description = null): SpanInterface;

            public function end(?int $endEpochNanos = null): void;
        }

        interface SpanBuilderInterface
        {
            public function setAttribute(string $key, mixed $value): SpanBuilderInterface;

            public function setStartTimestamp(int $timestampNanos): SpanBuilderInterface;

            public function startSpan(): SpanInterface;
        }

        interface TracerInterface
        {
            public function spanBuilder(string $spanName): SpanBuilderInterface;
        }
    }
}
