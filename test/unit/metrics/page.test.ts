import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { prometheusPage } from "#adapters/metrics-prometheus";
import { Histogram, HistogramsBy, labelled, metricSource, sourcesBy } from "#core/base";
import { parsePrometheusText } from "../../support/prometheus-text.ts";

const TABLE = {
  things_total: { kind: "counter", help: "Things: a \\ and more." },
  level: { kind: "gauge", help: "How high it is.", labels: { where: "a place" } },
  took_seconds: { kind: "histogram", help: "How long it took." },
} as const;

describe("the page of metrics", () => {
  it("reads each number when it is asked, and not before", async () => {
    let things = 1;
    let readings = 0;
    const source = metricSource(TABLE, {
      things_total: () => {
        readings++;
        return things;
      },
      level: () => labelled("where", { cellar: -2, 'the "attic"\n\\': 3.5 }),
      took_seconds: () => [],
    });
    const page = prometheusPage([source]);
    assert.equal(readings, 0);
    const first = parsePrometheusText(await page.text());
    assert.deepEqual(first.get("things_total")?.samples, [{ name: "things_total", labels: {}, value: 1 }]);
    assert.equal(first.get("things_total")?.type, "counter");
    things = 5;
    const second = parsePrometheusText(await page.text());
    assert.equal(second.get("things_total")?.samples[0]?.value, 5, "set, not added");
    assert.deepEqual(
      second.get("level")?.samples.map((s) => [s.labels["where"], s.value]),
      [
        ["cellar", -2],
        ['the "attic"\n\\', 3.5],
      ],
    );
    assert.equal(readings, 2);
  });

  it("shows no value for what is not known, and no label that is gone", async () => {
    let known: number | null = null;
    let places: Record<string, number> = { cellar: 1 };
    const page = prometheusPage([
      metricSource(TABLE, {
        things_total: () => known,
        level: () => labelled("where", places),
        took_seconds: () => [],
      }),
    ]);
    assert.deepEqual(parsePrometheusText(await page.text()).get("things_total")?.samples, []);
    known = 0;
    places = { attic: 2 };
    const after = parsePrometheusText(await page.text());
    assert.equal(after.get("things_total")?.samples[0]?.value, 0);
    assert.deepEqual(
      after.get("level")?.samples.map((s) => s.labels),
      [{ where: "attic" }],
    );
  });

  it("shows a histogram with buckets that add up", async () => {
    const took = new Histogram([0.1, 1]);
    for (const value of [0.1, 0.05, 0.7, 30]) took.observe(value);
    const page = prometheusPage([
      metricSource(TABLE, { things_total: () => 0, level: () => [], took_seconds: () => [[{}, took]] }),
    ]);
    const family = parsePrometheusText(await page.text()).get("took_seconds");
    assert.deepEqual(
      family?.samples.map((s) => [s.name, s.labels["le"], s.value]),
      [
        ["took_seconds_bucket", "0.1", 2],
        ["took_seconds_bucket", "1", 3],
        ["took_seconds_bucket", "+Inf", 4],
        ["took_seconds_sum", undefined, 30.85],
        ["took_seconds_count", undefined, 4],
      ],
    );
  });

  it("keeps histograms apart by their label", async () => {
    const took = new HistogramsBy("operation", [1]);
    took.observe("get", 0.5);
    took.observe("set", 2);
    const table = { took_seconds: { kind: "histogram", help: "x.", labels: { operation: "what" } } } as const;
    const text = await prometheusPage([metricSource(table, { took_seconds: () => took.reading() })]).text();
    const counts = parsePrometheusText(text)
      .get("took_seconds")
      ?.samples.filter((s) => s.name.endsWith("_count"));
    assert.deepEqual(
      counts?.map((s) => [s.labels["operation"], s.value]),
      [
        ["get", 1],
        ["set", 1],
      ],
    );
  });

  it("shows several parts of one kind side by side, under a label that says whose a value is", async () => {
    const part = (things: number) =>
      metricSource(TABLE, {
        things_total: () => things,
        level: () => labelled("where", { cellar: things }),
        took_seconds: () => [[{}, new Histogram([1])]],
      });
    const page = prometheusPage([
      sourcesBy("host", "a host", TABLE, () => [
        ["a", part(1)],
        ["b", part(2)],
      ]),
    ]);
    const families = parsePrometheusText(await page.text());
    assert.deepEqual(
      families.get("things_total")?.samples.map((s) => [s.labels, s.value]),
      [
        [{ host: "a" }, 1],
        [{ host: "b" }, 2],
      ],
    );
    assert.deepEqual(families.get("level")?.samples[1]?.labels, { host: "b", where: "cellar" });
    assert.equal(families.get("took_seconds")?.samples.filter((s) => s.labels["host"] === "b").length, 4);
  });

  it("adds what is known of the process, and refuses a name that is declared twice", async () => {
    const source = metricSource(TABLE, { things_total: () => 0, level: () => [], took_seconds: () => [] });
    const page = parsePrometheusText(await prometheusPage([source], { process: true }).text());
    assert.ok(page.has("process_cpu_seconds_total"));
    assert.ok(page.has("nodejs_eventloop_lag_seconds"));
    assert.throws(() => prometheusPage([source, source]), /things_total has already been registered/);
  });
});

describe("the reader of the format that the tests trust", () => {
  const wrong: readonly [why: string, text: string, says: RegExp][] = [
    ["a family twice", "# HELP a x\n# TYPE a gauge\na 1\n# HELP a x\n# TYPE a gauge\n", /comes twice/],
    ["a sample twice", '# HELP a x\n# TYPE a gauge\na{b="1"} 1\na{b="1"} 2\n', /comes twice/],
    ["no help", "# TYPE a gauge\na 1\n", /without its HELP/],
    ["another family's sample", "# HELP a x\n# TYPE a gauge\nb 1\n", /not of this family/],
    ["a value in words", "# HELP a x\n# TYPE a gauge\na Nan\n", /no value/],
    ["an open label", '# HELP a x\n# TYPE a gauge\na{b="1} 1\n', /no (label|sample)/],
    ["a raw quote", '# HELP a x\n# TYPE a gauge\na{b="1"2"} 1\n', /no label/],
    ["a negative counter", "# HELP a x\n# TYPE a counter\na -1\n", /below 0/],
    ["no end", "# HELP a x\n# TYPE a gauge\na 1", /no end/],
    [
      "buckets that go down",
      '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 3\na_bucket{le="+Inf"} 2\na_sum 1\na_count 2\n',
      /counts go down/,
    ],
    [
      "+Inf that is not the count",
      '# HELP a x\n# TYPE a histogram\na_bucket{le="+Inf"} 2\na_sum 1\na_count 3\n',
      /not the count/,
    ],
  ];
  for (const [why, text, says] of wrong) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parsePrometheusText(text), says);
    });
  }
});
