package otelcorral_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"corral.example/corral-cache"
	otelcorral "corral.example/corral-cache/otel"
)

func TestEventsBecomeCountersAndSpansUnderTheCall(t *testing.T) {
	spans, reader := tracetest.NewSpanRecorder(), metric.NewManualReader()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(spans)).Tracer("test")
	hook, err := otelcorral.Events(tracer, metric.NewMeterProvider(metric.WithReader(reader)).Meter("test"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, call := tracer.Start(context.Background(), "request")
	for _, e := range []corral.Event{
		{Name: "hit", Key: "k"}, {Name: "hit", Key: "k"}, {Name: "waited", Key: "k", Duration: time.Second},
		{Name: "built", Key: "k", Duration: time.Second}, {Name: "failed", Key: "k", Duration: time.Second, Err: errors.New("down")},
	} {
		hook(ctx, e)
	}

	var names []string
	for _, span := range spans.Ended() {
		names = append(names, span.Name())
		if span.Parent().SpanID() != call.SpanContext().SpanID() || span.EndTime().Sub(span.StartTime()) < time.Second {
			t.Errorf("%v is under %v, from %v to %v", span.Name(), span.Parent(), span.StartTime(), span.EndTime())
		}
		if failed := span.Status().Code == codes.Error; failed != (len(names) == 3) {
			t.Errorf("span %d has the status %v", len(names), span.Status())
		}
	}
	if len(names) != 3 || names[0] != "corral wait" || names[1] != "corral build" || names[2] != "corral build" {
		t.Errorf("spans: %v", names)
	}

	var read metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &read); err != nil {
		t.Fatal(err)
	}
	counted := map[string]int64{}
	for _, m := range read.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
			for _, point := range sum.DataPoints {
				name, _ := point.Attributes.Value("name")
				counted[name.AsString()] = point.Value
			}
		}
	}
	if counted["hit"] != 2 || counted["waited"] != 1 || counted["built"] != 1 || counted["failed"] != 1 {
		t.Errorf("counted: %v", counted)
	}
}
