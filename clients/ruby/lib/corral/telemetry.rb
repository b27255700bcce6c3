# frozen_string_literal: true

class Corral
  # Tells OpenTelemetry, given to `on_event`: every event is counted by its name (keys are no attribute, there are too
  # many), and each build and each wait is a span under its caller's. Needs opentelemetry-api and opentelemetry-metrics-api,
  # and is not loaded by "corral".
  class Telemetry
    def initialize(tracer = ::OpenTelemetry.tracer_provider.tracer("corral"), meter = ::OpenTelemetry.meter_provider.meter("corral"))
      @tracer = tracer
      @events = meter.create_counter("corral.events", description: "What happened to calls, by name")
      @builds = meter.create_histogram("corral.build", unit: "s", description: "How long builds took")
      @waits = meter.create_histogram("corral.wait", unit: "s", description: "How long callers waited for others' builds")
    end

    def call(event)
      @events.add(1, attributes: { "name" => event.name.to_s })
      return unless event.seconds

      event.name == :waited ? @waits.record(event.seconds) : @builds.record(event.seconds)
      span = @tracer.start_span(
        event.name == :waited ? "corral wait" : "corral build",
        attributes: { "corral.key" => event.key }, start_timestamp: Time.now - event.seconds
      )
      if event.error
        span.record_exception(event.error)
        span.status = ::OpenTelemetry::Trace::Status.error
      end
      span.finish
    end
  end
end
