import type { OperationId } from "#core/api-contract";
import type { CollectorCounters } from "./collector.ts";

/** Counters of this server in Prometheus' text format 0.0.4. */
export class Metrics {
  private readonly answers = new Map<string, number>();

  count(operation: OperationId | null, status: number): void {
    const labels = `operation="${operation ?? "none"}",status="${status}"`;
    this.answers.set(labels, (this.answers.get(labels) ?? 0) + 1);
  }

  /** @param gauges values that are read at this moment. */
  text(gauges: {
    readonly streams: number;
    readonly evicted: number;
    readonly ready: boolean;
    readonly segments: Readonly<CollectorCounters>;
  }): string {
    const { accepted, duplicates, refused, lost } = gauges.segments;
    const lines = [
      "# HELP midotrace_api_requests_total Requests answered, by operation and status.",
      "# TYPE midotrace_api_requests_total counter",
      ...[...this.answers].map(([labels, n]) => `midotrace_api_requests_total{${labels}} ${n}`),
      "# HELP midotrace_api_event_streams Event streams that are open.",
      "# TYPE midotrace_api_event_streams gauge",
      `midotrace_api_event_streams ${gauges.streams}`,
      "# HELP midotrace_api_flow_traces_evicted_total Flow traces thrown out to make room.",
      "# TYPE midotrace_api_flow_traces_evicted_total counter",
      `midotrace_api_flow_traces_evicted_total ${gauges.evicted}`,
      "# HELP midotrace_api_trace_segments_total Trace segments that agents delivered, by what became of them.",
      "# TYPE midotrace_api_trace_segments_total counter",
      `midotrace_api_trace_segments_total{result="accepted"} ${accepted}`,
      `midotrace_api_trace_segments_total{result="duplicate"} ${duplicates}`,
      `midotrace_api_trace_segments_total{result="refused"} ${refused}`,
      "# HELP midotrace_api_trace_segments_lost_total Trace segments that agents said will never come.",
      "# TYPE midotrace_api_trace_segments_lost_total counter",
      `midotrace_api_trace_segments_lost_total ${lost}`,
      "# HELP midotrace_api_ready Whether the server can serve.",
      "# TYPE midotrace_api_ready gauge",
      `midotrace_api_ready ${gauges.ready ? 1 : 0}`,
    ];
    return `${lines.join("\n")}\n`;
  }
}
