import type { HistogramReading, LabelValues, MetricsPage, MetricSource, MetricTable, LaterReading } from "#core/base";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import { ReadHistogram } from "./read-histogram.ts";

export interface PageOptions {
  /** Add what prom-client knows of this process (CPU, memory, event loop, garbage collection). Once per process. */
  readonly process?: boolean;
}

/** What `process` adds: the names of prom-client, which dashboards for Node.js know. */
export const PROCESS_METRICS: readonly string[] = ["process_", "nodejs_"];

/** As prom-client writes it; the format wants it in other letters. */
const NAN = / Nan$/gm;

/**
 * A page over sources. Each is read when the page is asked for, never in between.
 * @throws Error when two sources declare one name.
 */
export function prometheusPage(sources: readonly MetricSource[], options: PageOptions = {}): MetricsPage {
  const registry = new Registry();
  for (const { table, read } of sources) {
    for (const name of Object.keys(table)) register(registry, name, table, read[name] ?? (() => null));
  }
  if (options.process === true) collectDefaultMetrics({ register: registry });
  return { text: async () => (await registry.metrics()).replaceAll(NAN, " NaN") };
}

function register(
  registry: Registry,
  name: string,
  table: MetricTable,
  read: () => LaterReading | HistogramReading,
): void {
  const { kind, help, labels } = table[name] as MetricTable[string];
  if (kind === "histogram") {
    registry.registerMetric(new ReadHistogram(name, help, read as () => HistogramReading));
    return;
  }
  const common = { name, help, labelNames: Object.keys(labels ?? {}), registers: [registry] };
  const samples = async (): Promise<Iterable<readonly [LabelValues, number]>> => {
    const value = await (read as () => LaterReading)();
    if (value === null) return [];
    return typeof value === "number" ? [[{}, value]] : value;
  };
  // What has no labels would show 0 where nothing is known.
  const unlabelled = common.labelNames.length === 0;
  if (kind === "gauge") {
    const gauge: Gauge = new Gauge({
      ...common,
      collect: async () => {
        const read = await samples();
        gauge.reset();
        if (unlabelled) gauge.remove();
        for (const [of, value] of read) gauge.set(of, value);
      },
    });
    return;
  }
  const counter: Counter = new Counter({
    ...common,
    collect: async () => {
      const read = await samples();
      counter.reset();
      if (unlabelled) counter.remove();
      for (const [of, value] of read) counter.inc(of, value);
    },
  });
}
