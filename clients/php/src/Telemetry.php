<?php

declare(strict_types=1);

namespace Corral;

use OpenTelemetry\API\Metrics\CounterInterface;
use OpenTelemetry\API\Metrics\HistogramInterface;
use OpenTelemetry\API\Metrics\MeterInterface;
use OpenTelemetry\API\Trace\StatusCode;
use OpenTelemetry\API\Trace\TracerInterface;

/**
 * Tells OpenTelemetry, given to `onEvent`: every event is counted by its name (keys are no attribute, there are too many),
 * and each build and each wait is a span under its caller's. Needs open-telemetry/api.
 */
final class Telemetry
{
    private readonly CounterInterface $events;
    private readonly HistogramInterface $builds;
    private readonly HistogramInterface $waits;

    public function __construct(private readonly TracerInterface $tracer, MeterInterface $meter)
    {
        $this->events = $meter->createCounter('corral.events', null, 'What happened to calls, by name');
        $this->builds = $meter->createHistogram('corral.build', 's', 'How long builds took');
        $this->waits = $meter->createHistogram('corral.wait', 's', "How long callers waited for others' builds");
    }

    public function __invoke(Event $event): void
    {
        $this->events->add(1, ['name' => $event->name]);
        if ($event->seconds === null) {
            return;
        }
        $waited = $event->name === 'waited';
        ($waited ? $this->waits : $this->builds)->record($event->seconds);
        $span = $this->tracer->spanBuilder($waited ? 'corral wait' : 'corral build')
            ->setStartTimestamp((int) ((microtime(true) - $event->seconds) * 1e9))
            ->setAttribute('corral.key', $event->key)
            ->startSpan();
        if ($event->error !== null) {
            $span->recordException($event->error);
            $span->setStatus(StatusCode::STATUS_ERROR);
        }
        $span->end();
    }
}
