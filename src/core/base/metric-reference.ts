import type { MetricTable } from "./metrics.ts";

/** The metrics of one page. */
export interface MetricSection {
  readonly title: string;
  /** Where the page is, in whole sentences. */
  readonly about: string;
  readonly tables: readonly MetricTable[];
}

/** The text of docs/reference/metrics.md, from the declarations alone; a test compares the file with it. */
export function metricReference(sections: readonly MetricSection[]): string {
  return [PREFACE, ...sections.map(sectionText)].join("\n");
}

const PREFACE = `# Metrics

Printed from the metrics' declarations by \`node --conditions=source test/docs/print.ts\`; a test compares.

\`/metrics\` answers in Prometheus' text format 0.0.4. Counters begin at 0 with the process. Times are in seconds, sizes in
bytes. No label has as many values as there are flows, packets, addresses or users. What stands in the column *labels* is
what a label says.

A dashboard for Grafana is [docs/grafana/midotrace.json](../grafana/midotrace.json), rules for alerts are
[docs/grafana/alerts.yaml](../grafana/alerts.yaml); both use the names of this page only, which a test sees to.

Beside these each page shows what prom-client knows of the process, under its own names: \`process_cpu_seconds_total\`,
\`process_resident_memory_bytes\`, \`nodejs_eventloop_lag_seconds\`, \`nodejs_heap_size_used_bytes\`, \`nodejs_gc_duration_seconds\`
and others.
`;

function sectionText({ title, about, tables }: MetricSection): string {
  const rows = tables.flatMap((table) =>
    Object.entries(table).map(([name, { kind, help, labels = {} }]) => {
      const said = Object.entries(labels).map(([label, says]) => `\`${label}\`: ${says}`);
      return `| \`${name}\` | ${kind} | ${said.join("; ")} | ${help} |\n`.replaceAll("  ", " ");
    }),
  );
  return `## ${title}\n\n${about}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n${rows.join("")}`;
}
