// OpenTelemetry: `new Corral(client, { onEvent: otelEvents(trace.getTracer('app'), metrics.getMeter('app')) })`.
import type { CorralEvent } from './options.js'

interface Span {
  setStatus(status: { code: number; message?: string }): unknown
  recordException(error: any): void
  end(): void
}

/** What is used of @opentelemetry/api, so that nobody who does without it has to install it. */
export interface Tracer {
  startSpan(name: string, options: { startTime: number; attributes: Record<string, string> }): Span
}
export interface Meter {
  createCounter(name: string, options: { description: string }): { add(value: number, attributes: Record<string, string>): void }
  createHistogram(name: string, options: { description: string; unit: string }): { record(value: number): void }
}

const ERROR = 2 // SpanStatusCode.ERROR

/** Counts every event (attribute `name`; keys are no attribute, there are too many), and makes a span of each build and wait. */
export function otelEvents(tracer: Tracer, meter: Meter): (event: CorralEvent) => void {
  const events = meter.createCounter('corral.events', { description: 'What happened to calls, by name' })
  const builds = meter.createHistogram('corral.build', { description: 'How long builds took', unit: 's' })
  const waits = meter.createHistogram('corral.wait', { description: "How long callers waited for others' builds", unit: 's' })
  return ({ type, key, ms, error }) => {
    events.add(1, { name: type })
    if (ms === undefined) return
    if (type === 'waited') waits.record(ms / 1000)
    else builds.record(ms / 1000)
    const span = tracer.startSpan(type === 'waited' ? 'corral wait' : 'corral build', { startTime: Date.now() - ms, attributes: { 'corral.key': key } })
    if (type === 'failed') {
      span.recordException(error)
      span.setStatus({ code: ERROR })
    }
    span.end()
  }
}
