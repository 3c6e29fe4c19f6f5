import type { FlowTraceId, Lifecycle } from "#core/base";
import type { Exporter } from "#core/exporting";
import type { FlowEvent, FlowTrace, TraceStore } from "#core/tracing";
import type { ApiLog } from "./call.ts";

/**
 * Hands joined flow traces to exporters: each when nothing is awaited for it any more (it is complete, or what is missing is
 * overdue), and again when it changes after that. Never stands in the way of the collector.
 */
export class FlowExports implements Lifecycle {
  private readonly traceStore: TraceStore;
  private readonly exporters: readonly Exporter[];
  private readonly log: ApiLog;
  private unsubscribe: (() => void) | null = null;
  /** Flow traces that changed and have to be read. */
  private readonly changed = new Set<FlowTraceId>();
  private reading: Promise<void> | null = null;

  constructor(traceStore: TraceStore, exporters: readonly Exporter[], log: ApiLog) {
    this.traceStore = traceStore;
    this.exporters = exporters;
    this.log = log;
  }

  async start(): Promise<void> {
    for (const exporter of this.exporters) await exporter.start();
    this.unsubscribe ??= this.traceStore.subscribe(null, (event) => this.take(event));
  }

  /** What changed before is handed over, and exporters send what they have, all at once and for a while. */
  async stop(): Promise<void> {
    this.unsubscribe?.();
    this.unsubscribe = null;
    await this.reading;
    await Promise.all(this.exporters.map((exporter) => exporter.stop()));
  }

  private take({ trace, flowTraceId }: FlowEvent): void {
    if (trace !== null) {
      this.offer(trace);
      return;
    }
    this.changed.add(flowTraceId);
    this.reading ??= this.read();
  }

  /** Never rejects. */
  private async read(): Promise<void> {
    for (const id of this.changed) {
      this.changed.delete(id);
      try {
        const trace = await this.traceStore.flow(id);
        if (trace === null) for (const exporter of this.exporters) exporter.gone();
        else this.offer(trace);
      } catch (error) {
        this.log.info("a flow trace could not be read, and is not exported", { flowTraceId: id, error: String(error) });
        for (const exporter of this.exporters) exporter.gone();
      }
    }
    this.reading = null;
  }

  private offer(trace: FlowTrace): void {
    if (trace.completeness.missing.some((m) => m.reason === "awaited")) return;
    for (const exporter of this.exporters) exporter.flow(trace);
  }
}
