/**
 * What a module counts, declared as a value beside the module: the page of `/metrics`, its reference and the tests are all
 * read from the declaration. The module keeps plain numbers; they are looked at when somebody asks, so counting costs
 * nothing but the addition.
 */
export interface MetricSpec {
  readonly kind: "counter" | "gauge" | "histogram";
  /** One sentence with a full stop. Times are in seconds, sizes in bytes. */
  readonly help: string;
  /** What each label says, and thereby how many values it can have: never as many as there are flows. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** By name in Prometheus' manner: unit and, for counters, `_total` at the end. */
export type MetricTable = Readonly<Record<string, MetricSpec>>;

export type LabelValues = Readonly<Record<string, string>>;

/** One value, or one for each set of labels; null: not known now, and left out. */
export type NumberReading = number | Iterable<readonly [LabelValues, number]> | null;

export type HistogramReading = Iterable<readonly [LabelValues, Histogram]>;

/** A promise where it must be asked for. */
export type LaterReading = NumberReading | Promise<NumberReading>;

type ReadingOf<S extends MetricSpec> = S["kind"] extends "histogram" ? HistogramReading : LaterReading;

/** A table, and how each of its metrics is read now. */
export interface MetricSource {
  readonly table: MetricTable;
  readonly read: Readonly<Record<string, () => LaterReading | HistogramReading>>;
}

/** Keeps table and readings together: a metric that is declared and not read does not compile, nor the reverse. */
export function metricSource<const T extends MetricTable>(
  table: T,
  read: { readonly [K in keyof T]: () => ReadingOf<T[K]> },
): MetricSource {
  return { table, read };
}

/** What shows sources to who asks. */
export interface MetricsPage {
  text(): Promise<string>;
}

export type RenderMetrics = (sources: readonly MetricSource[]) => MetricsPage;

/** Seconds, from an answer out of memory to one that somebody has given up on. */
export const LATENCY_BOUNDS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** How often a value was at most each bound. Bounds ascend. */
export class Histogram {
  readonly bounds: readonly number[];
  /** Of values up to each bound and above the one before; the last: above all bounds. */
  readonly counts: number[];
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[] = LATENCY_BOUNDS) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let i = 0;
    while (i < this.bounds.length && value > (this.bounds[i] as number)) i++;
    (this.counts[i] as number)++;
    this.sum += value;
    this.count++;
  }
}

/** A histogram per value of one label; the values must be few. */
export class HistogramsBy {
  private readonly label: string;
  private readonly bounds: readonly number[];
  private readonly byValue = new Map<string, Histogram>();

  constructor(label: string, bounds: readonly number[] = LATENCY_BOUNDS) {
    this.label = label;
    this.bounds = bounds;
  }

  observe(value: string, observed: number): void {
    let histogram = this.byValue.get(value);
    if (histogram === undefined) this.byValue.set(value, (histogram = new Histogram(this.bounds)));
    histogram.observe(observed);
  }

  *reading(): HistogramReading {
    for (const [value, histogram] of this.byValue) yield [{ [this.label]: value }, histogram];
  }
}

/** Counts of a record as a reading: its keys are the values of the label. */
export function* labelled(label: string, counts: Readonly<Record<string, number>>): Iterable<[LabelValues, number]> {
  for (const [value, count] of Object.entries(counts)) yield [{ [label]: value }, count];
}

/**
 * Sources that declare the same table, as one: a label more says whose the values are.
 * @param label must not be one of the table. @param sources by the value of the label, looked at when it is read.
 */
export function sourcesBy(
  label: string,
  says: string,
  table: MetricTable,
  sources: () => Iterable<readonly [string, MetricSource]>,
): MetricSource {
  const widened = Object.entries(table).map(([name, spec]): [string, MetricSpec] => [
    name,
    { ...spec, labels: { [label]: says, ...spec.labels } },
  ]);
  const read = (name: string) => (): Iterable<readonly [LabelValues, number | Histogram]> =>
    [...sources()].flatMap(([value, source]) => {
      const reading = source.read[name]?.() ?? null;
      if (reading instanceof Promise) throw new TypeError(`${name} cannot be read at once`);
      if (reading === null) return [];
      if (typeof reading === "number") return [[{ [label]: value }, reading] as const];
      const all: Iterable<readonly [LabelValues, number | Histogram]> = reading;
      return [...all].map(([labels, read]) => [{ [label]: value, ...labels }, read] as const);
    });
  return {
    table: Object.fromEntries(widened),
    read: Object.fromEntries(Object.keys(table).map((name) => [name, read(name)])) as MetricSource["read"],
  };
}
