package corral;

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.metrics.DoubleHistogram;
import io.opentelemetry.api.metrics.LongCounter;
import io.opentelemetry.api.metrics.Meter;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import java.time.Instant;
import java.util.function.Consumer;

/**
 * Tells OpenTelemetry, given to {@link Settings#onEvent}: every event is counted by its name (keys are no attribute, there
 * are too many), and each build and each wait is a span under its caller's.
 */
public final class Telemetry implements Consumer<Event> {
    private static final AttributeKey<String> NAME = AttributeKey.stringKey("name");
    private final Tracer tracer;
    private final LongCounter events;
    private final DoubleHistogram builds;
    private final DoubleHistogram waits;

    public Telemetry(Tracer tracer, Meter meter) {
        this.tracer = tracer;
        events = meter.counterBuilder("corral.events").setDescription("What happened to calls, by name").build();
        builds = meter.histogramBuilder("corral.build").setDescription("How long builds took").setUnit("s").build();
        waits = meter.histogramBuilder("corral.wait").setDescription("How long callers waited for others' builds").setUnit("s").build();
    }

    @Override
    public void accept(Event event) {
        events.add(1, Attributes.of(NAME, event.name()));
        if (event.took() == null) return;
        boolean built = !event.name().equals("waited");
        (built ? builds : waits).record(event.took().toNanos() / 1e9);
        Span span = tracer.spanBuilder(built ? "corral build" : "corral wait").setStartTimestamp(Instant.now().minus(event.took()))
            .setAttribute("corral.key", event.key()).startSpan();
        if (event.error() != null) span.recordException(event.error()).setStatus(StatusCode.ERROR);
        span.end();
    }
}
