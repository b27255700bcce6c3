import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import corral.Corral;
import corral.Settings;
import corral.Telemetry;
import corral.lettuce.LettuceLibrary;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.testing.exporter.InMemoryMetricReader;
import io.opentelemetry.sdk.testing.exporter.InMemorySpanExporter;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TelemetryTest {
    @Test
    void opentelemetry_hears_of_a_build_a_hit_and_a_failure_under_the_callers_span() {
        var spans = InMemorySpanExporter.create();
        var metrics = InMemoryMetricReader.create();
        var tracer = SdkTracerProvider.builder().addSpanProcessor(SimpleSpanProcessor.create(spans)).build().get("test");
        var meter = SdkMeterProvider.builder().registerMetricReader(metrics).build().get("test");
        var request = tracer.spanBuilder("request").startSpan();
        String built = TestServer.key(), failing = TestServer.key();
        try (var cache = new Corral(LettuceLibrary.of(TestServer.LETTUCE), new Settings().onEvent(new Telemetry(tracer, meter)));
            var current = request.makeCurrent()) {
            for (int call = 0; call < 2; call++) cache.getOrBuild(built, Integer.class, () -> 1);
            assertThrows(IllegalStateException.class, () -> cache.getOrBuild(failing, Integer.class, () -> {
                throw new IllegalStateException("no database");
            }));
        }

        var told = spans.getFinishedSpanItems();
        assertEquals(List.of("corral build", "corral build"), told.stream().map(span -> span.getName()).toList());
        for (var span : told) assertEquals(request.getSpanContext().getSpanId(), span.getParentSpanId());
        assertEquals(List.of(StatusCode.UNSET, StatusCode.ERROR), told.stream().map(span -> span.getStatus().getStatusCode()).toList());

        Map<String, Long> events = new HashMap<>();
        for (var metric : metrics.collectAllMetrics()) {
            if (!metric.getName().equals("corral.events")) continue;
            for (var point : metric.getLongSumData().getPoints()) events.put(point.getAttributes().get(AttributeKey.stringKey("name")), point.getValue());
        }
        assertEquals(Map.of("built", 1L, "hit", 1L, "failed", 1L), events);
    }
}
