"""Spans and counters: `Corral(…, on_event=corral.opentelemetry.instrument())`.

Counter `corral.calls` by `corral.event`; histograms `corral.build.duration` and `corral.wait.duration` in seconds; a
span `corral build` for each build that ended, with the key."""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry import metrics, trace
from opentelemetry.trace import Status, StatusCode

from .outcomes import Event


def instrument(tracer: trace.Tracer | None = None, meter: metrics.Meter | None = None) -> Callable[[Event], None]:
    tracer = tracer or trace.get_tracer("corral")
    meter = meter or metrics.get_meter("corral")
    calls = meter.create_counter("corral.calls", description="what became of calls")
    durations = {
        "built": meter.create_histogram("corral.build.duration", "s"),
        "waited": meter.create_histogram("corral.wait.duration", "s"),
    }

    def told(event: Event) -> None:
        calls.add(1, {"corral.event": event.name})
        if event.seconds is not None and event.name in durations:
            durations[event.name].record(event.seconds)
        if event.name in ("built", "failed"):
            now = time.time_ns()
            span = tracer.start_span("corral build", start_time=now - round((event.seconds or 0.0) * 1e9))
            span.set_attribute("corral.key", event.key)
            if event.error is not None:
                span.record_exception(event.error)
                span.set_status(Status(StatusCode.ERROR))
            span.end(now)

    return told
