"""Spans and counters: `Corral(…, on_event=corral.opentelemetry.instrument())`.

Counter `corral.events` by `name` (keys are no attribute, there are too many); histograms `corral.build` and `corral.wait`
in seconds; a span `corral build` or `corral wait` for each that ended, with `corral.key`. The same in every language."""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry import metrics, trace
from opentelemetry.trace import Status, StatusCode

from .outcomes import Event


def instrument(tracer: trace.Tracer | None = None, meter: metrics.Meter | None = None) -> Callable[[Event], None]:
    tracer = tracer or trace.get_tracer("corral")
    meter = meter or metrics.get_meter("corral")
    events = meter.create_counter("corral.events", description="What happened to calls, by name")
    builds = meter.create_histogram("corral.build", "s", "How long builds took")
    waits = meter.create_histogram("corral.wait", "s", "How long callers waited for others' builds")

    def told(event: Event) -> None:
        events.add(1, {"name": event.name})
        if event.name not in ("built", "failed", "waited"):
            return
        waited = event.name == "waited"
        if event.seconds is not None:
            (waits if waited else builds).record(event.seconds)
        now = time.time_ns()
        span = tracer.start_span(
            "corral wait" if waited else "corral build", start_time=now - round((event.seconds or 0.0) * 1e9)
        )
        span.set_attribute("corral.key", event.key)
        if event.error is not None:
            span.record_exception(event.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)

    return told
