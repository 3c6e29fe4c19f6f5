import { type HrTime, SpanKind, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import type { LogEntry, Span } from "#core/exporting";

const SCOPE = { name: "midotrace" } as const;
const SEVERITY = { INFO: SeverityNumber.INFO, WARN: SeverityNumber.WARN, ERROR: SeverityNumber.ERROR } as const;
/** Hosts whose resources are kept: exporters group by the object. */
const MAX_HOSTS = 10_000;

/** Makes what the exporters of OpenTelemetry take. */
export class Readables {
  private readonly hosts = new Map<string, Resource>();
  private readonly nobody = resourceFromAttributes({ "service.name": "midotrace" });

  span(span: Span): ReadableSpan {
    const { traceId, spanId, parentSpanId, error } = span;
    const traceFlags = TraceFlags.SAMPLED;
    const [startTime, endTime] = [hrTime(span.startMs), hrTime(span.endMs)];
    return {
      name: span.name,
      kind: SpanKind.INTERNAL,
      spanContext: () => ({ traceId, spanId, traceFlags }),
      ...(parentSpanId === null ? {} : { parentSpanContext: { traceId, spanId: parentSpanId, traceFlags } }),
      startTime,
      endTime,
      duration: hrTime(span.endMs - span.startMs),
      status: error === null ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: error },
      attributes: span.attributes,
      links: [],
      events: span.events.map((e) => ({ name: e.name, time: hrTime(e.atMs), attributes: e.attributes })),
      ended: true,
      resource: this.resource(span.host),
      instrumentationScope: SCOPE,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  }

  log(entry: LogEntry, nowMs: number): ReadableLogRecord {
    const { traceId, spanId } = entry;
    return {
      hrTime: hrTime(entry.atMs),
      hrTimeObserved: hrTime(nowMs),
      severityText: entry.severity,
      severityNumber: SEVERITY[entry.severity],
      eventName: entry.eventName,
      body: entry.body,
      ...(traceId === null || spanId === null
        ? {}
        : { spanContext: { traceId, spanId, traceFlags: TraceFlags.SAMPLED } }),
      attributes: entry.attributes,
      resource: this.resource(entry.host),
      instrumentationScope: SCOPE,
      droppedAttributesCount: 0,
    };
  }

  private resource(host: { readonly id: string; readonly name: string } | null): Resource {
    if (host === null) return this.nobody;
    const name = `${host.id} ${host.name}`;
    let resource = this.hosts.get(name);
    if (resource === undefined) {
      if (this.hosts.size >= MAX_HOSTS) this.hosts.clear();
      const attributes = { "service.name": "midotrace-agent", "host.id": host.id, "host.name": host.name };
      resource = resourceFromAttributes(attributes);
      this.hosts.set(name, resource);
    }
    return resource;
  }
}

/** Seconds and nanoseconds. */
function hrTime(ms: number): HrTime {
  const whole = Math.max(0, ms);
  const seconds = Math.floor(whole / 1_000);
  return [seconds, Math.round((whole - seconds * 1_000) * 1_000_000)];
}
