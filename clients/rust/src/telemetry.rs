use std::time::SystemTime;

use opentelemetry::metrics::Meter;
use opentelemetry::trace::{Span, SpanBuilder, Status, Tracer};
use opentelemetry::KeyValue;

use crate::options::Event;

/// A hook for [`Settings::on_event`](crate::Settings::on_event) that tells OpenTelemetry: every event is counted by its
/// name (keys are no attribute, there are too many), and each build and each wait is a span under its caller's.
pub fn telemetry<T>(tracer: T, meter: &Meter) -> impl Fn(Event) + Send + Sync + 'static
where
    T: Tracer + Send + Sync + 'static,
{
    let events = meter.u64_counter("corral.events").with_description("What happened to calls, by name").build();
    let durations = |name, what| meter.f64_histogram(name).with_description(what).with_unit("s").build();
    let builds = durations("corral.build", "How long builds took");
    let waits = durations("corral.wait", "How long callers waited for others' builds");
    move |event| {
        events.add(1, &[KeyValue::new("name", event.name)]);
        let Some(took) = event.took else { return };
        let (name, measured) = match event.name {
            "waited" => ("corral wait", &waits),
            _ => ("corral build", &builds),
        };
        measured.record(took.as_secs_f64(), &[]);
        let builder = SpanBuilder::from_name(name)
            .with_start_time(SystemTime::now() - took)
            .with_attributes([KeyValue::new("corral.key", event.key)]);
        let mut span = tracer.build(builder);
        if let Some(error) = event.error {
            span.set_status(Status::error(error));
        }
        span.end();
    }
}
