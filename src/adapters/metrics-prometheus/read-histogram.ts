import type { HistogramReading } from "#core/base";
import { Histogram } from "prom-client";

interface Sample {
  readonly metricName: string;
  readonly labels: Record<string, string | number>;
  readonly value: number;
}

/** A histogram whose counts are kept by somebody else: prom-client's own cannot be set, only observed into. */
export class ReadHistogram extends Histogram {
  private readonly named: string;
  private readonly said: string;
  private readonly read: () => HistogramReading;

  constructor(name: string, help: string, read: () => HistogramReading) {
    super({ name, help, registers: [] });
    this.named = name;
    this.said = help;
    this.read = read;
  }

  override async get(): ReturnType<Histogram["get"]> {
    const { named: name, said: help } = this;
    return { name, help, type: "histogram", aggregator: "sum", values: this.samples() } as never;
  }

  /** The registry prefers it to `get`, where there is one. */
  getForPromString(): ReturnType<Histogram["get"]> {
    return this.get();
  }

  private samples(): Sample[] {
    const samples: Sample[] = [];
    for (const [labels, { bounds, counts, sum, count }] of this.read()) {
      let below = 0;
      for (const [i, bound] of bounds.entries()) {
        below += counts[i] ?? 0;
        samples.push({ metricName: `${this.named}_bucket`, labels: { ...labels, le: bound }, value: below });
      }
      samples.push(
        { metricName: `${this.named}_bucket`, labels: { ...labels, le: "+Inf" }, value: count },
        { metricName: `${this.named}_sum`, labels: { ...labels }, value: sum },
        { metricName: `${this.named}_count`, labels: { ...labels }, value: count },
      );
    }
    return samples;
  }
}
