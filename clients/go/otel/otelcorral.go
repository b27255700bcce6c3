// Package otelcorral tells OpenTelemetry what happens to the calls of a corral.Cache.
package otelcorral

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"corral.example/corral-cache"
)

// Events makes a hook for corral.OnEvent. It counts every event by its name (keys are no attribute, there are too many),
// and makes a span of each build and of each wait, under the span of the call.
func Events(tracer trace.Tracer, meter metric.Meter) (func(context.Context, corral.Event), error) {
	events, err := meter.Int64Counter("corral.events", metric.WithDescription("What happened to calls, by name"))
	if err != nil {
		return nil, err
	}
	builds, err := meter.Float64Histogram("corral.build", metric.WithDescription("How long builds took"), metric.WithUnit("s"))
	if err != nil {
		return nil, err
	}
	waits, err := meter.Float64Histogram("corral.wait", metric.WithDescription("How long callers waited for others' builds"), metric.WithUnit("s"))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, e corral.Event) {
		events.Add(ctx, 1, metric.WithAttributes(attribute.String("name", e.Name)))
		span := "corral build"
		switch e.Name {
		case "built", "failed":
			builds.Record(ctx, e.Duration.Seconds())
		case "waited":
			span = "corral wait"
			waits.Record(ctx, e.Duration.Seconds())
		default:
			return
		}
		_, made := tracer.Start(ctx, span, trace.WithTimestamp(time.Now().Add(-e.Duration)), trace.WithAttributes(attribute.String("corral.key", e.Key)))
		if e.Err != nil {
			made.RecordError(e.Err)
			made.SetStatus(codes.Error, e.Err.Error())
		}
		made.End()
	}, nil
}
