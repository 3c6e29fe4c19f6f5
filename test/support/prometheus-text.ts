/**
 * Prometheus' text format 0.0.4, read by the letter of its grammar and stricter than a scraper: every family has HELP and
 * TYPE, once and first, its samples stand together, no sample comes twice, and histograms add up.
 */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = "[a-zA-Z_][a-zA-Z0-9_]*";
const HELP = new RegExp(`^# HELP (${NAME}) (.*)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`);
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)(?: (-?\\d+))?$`);
const ONE_LABEL = new RegExp(`^(${LABEL})="((?:[^"\\\\\\n]|\\\\["\\\\n])*)"(,|$)`);
const VALUE = /^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|NaN|[+-]Inf)$/;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ["_bucket", "_sum", "_count"],
  summary: ["", "_sum", "_count"],
};

/** @throws Error that quotes the line that is wrong. */
export function parsePrometheusText(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | null = null;
  let open: Family | null = null;
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line has no end");
  for (const line of text.split("\n")) {
    const fail = (why: string): never => {
      throw new Error(`${why}: ${JSON.stringify(line)}`);
    };
    if (line === "") continue;
    if (line.startsWith("#")) {
      const asHelp = HELP.exec(line);
      if (asHelp !== null) {
        if (!/^(?:[^\\]|\\[\\n])*$/.test(asHelp[2] ?? "")) fail("a backslash that escapes nothing");
        help = { name: asHelp[1] ?? "", text: asHelp[2] ?? "" };
        continue;
      }
      const [, name = "", type = ""] = TYPE.exec(line) ?? fail("neither HELP nor TYPE");
      if (families.has(name)) fail("a family comes twice");
      if (help?.name !== name || help.text.trim() === "") fail("TYPE without its HELP");
      open = { name, type, help: help?.text ?? "", samples: [] };
      families.set(name, open);
      continue;
    }
    const [, name = "", inner, raw = ""] = SAMPLE.exec(line) ?? fail("no sample");
    if (open === null) return fail("a sample before the first family");
    if (!(SUFFIXES[open.type] ?? [""]).some((s) => name === `${(open as Family).name}${s}`)) fail("not of this family");
    if (!VALUE.test(raw)) fail("no value");
    const labels = labelsOf(inner ?? "", fail);
    const key = `${name} ${JSON.stringify(Object.entries(labels).map(String).sort())}`;
    if (seen.has(key)) fail("a sample comes twice");
    seen.add(key);
    const value = raw.endsWith("Inf") ? (raw.startsWith("-") ? -Infinity : Infinity) : Number(raw);
    if (open.type === "counter" && !(value >= 0)) fail("a counter below 0");
    open.samples.push({ name, labels, value });
  }
  for (const family of families.values()) if (family.type === "histogram") checkHistogram(family);
  return families;
}

function labelsOf(inner: string, fail: (why: string) => never): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = inner; rest !== ""; ) {
    const [all, name = "", escaped = ""] = ONE_LABEL.exec(rest) ?? fail("no label");
    if (Object.hasOwn(labels, name)) fail("a label comes twice");
    labels[name] = escaped.replaceAll(/\\(["\\n])/g, (_, c: string) => (c === "n" ? "\n" : c));
    rest = rest.slice(all.length);
  }
  return labels;
}

function checkHistogram({ name, samples }: Family): void {
  const groups = new Map<string, { bounds: number[]; counts: number[]; count?: number; sum?: number }>();
  for (const s of samples) {
    const { le, ...rest } = s.labels;
    const key = JSON.stringify(rest);
    const group = groups.get(key) ?? { bounds: [], counts: [] };
    groups.set(key, group);
    if (s.name === `${name}_bucket`) {
      group.bounds.push(le === "+Inf" ? Infinity : Number(le));
      group.counts.push(s.value);
    } else if (s.name === `${name}_sum`) group.sum = s.value;
    else group.count = s.value;
  }
  for (const [labels, { bounds, counts, count, sum }] of groups) {
    const ascending = (list: readonly number[], strictly: boolean): boolean =>
      list.every((v, i) => i === 0 || (strictly ? v > (list[i - 1] as number) : v >= (list[i - 1] as number)));
    if (!ascending(bounds, true)) throw new Error(`${name}${labels}: bounds do not ascend`);
    if (!ascending(counts, false)) throw new Error(`${name}${labels}: counts go down`);
    if (bounds.at(-1) !== Infinity || counts.at(-1) !== count)
      throw new Error(`${name}${labels}: +Inf is not the count`);
    if (sum === undefined) throw new Error(`${name}${labels}: no sum`);
  }
}
