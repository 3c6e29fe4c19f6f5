import { cpus, totalmem } from "node:os";
import { CATALOGUE, type Entry } from "./catalogue.ts";
import { interleaved, Lane } from "./lanes.ts";
import { ascending, PLAN, quantile } from "./measure.ts";
import { offAgainstStripped } from "./off.ts";

/** What the simulation has to reach on one core. */
const AIM = { untracedPerSecond: 500_000, thousandTraces: 1.5 };

const failures: string[] = [];
const medians = new Map<string, number>();

async function group(title: string, entries: readonly Entry[]): Promise<void> {
  console.log(`\n${title}`);
  const lanes: Lane[] = [];
  for (const e of entries) lanes.push(await Lane.start([`${e.group} ${e.name}`]));
  const times = await interleaved(lanes);
  for (const [i, e] of entries.entries()) {
    const sorted = ascending(times[i] ?? []);
    const [low, mid, high] = [0.25, 0.5, 0.75].map((q) => quantile(sorted, q)) as [number, number, number];
    const bytes = Number(await lanes[i]?.ask({ ask: "bytes" }));
    medians.set(e.name, mid);
    const rate = Math.round(1e9 / mid).toLocaleString("en");
    console.log(
      `  ${e.name.padEnd(24)}${ns(mid)} (${ns(low)} …${ns(high)})${rate.padStart(12)}/s${bytes.toFixed(0).padStart(7)} B` +
        `   catches: ${e.catches}`,
    );
  }
  for (const lane of lanes) lane.stop();
}

const ns = (v: number): string => `${v.toFixed(v < 100 ? 1 : 0).padStart(7)} ns`;
const percent = (v: number): string => `${(v * 100).toFixed(1)} %`;

function hold(what: string, held: boolean): void {
  console.log(`  ${held ? "holds " : "MISSED"} ${what}`);
  if (!held) failures.push(what);
}

console.log(
  `${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
);
console.log(
  `median (middle half) of ${PLAN.rounds} rounds of ${PLAN.roundMs} ms, each benchmark in its own process, interleaved`,
);
for (const [title, entries] of Map.groupBy(CATALOGUE, (e) => e.group)) await group(title, entries);

console.log(
  `\n"off" against a build without recorder and trace rules   catches: any cost of tracing that nobody asked for`,
);
const off = await offAgainstStripped();
console.log(`  off      ${ns(off.offNs)}\n  stripped ${ns(off.strippedNs)}`);
console.log(
  `  difference ${percent(off.difference)}, noise ${percent(off.noise)} (2 σ over ${off.processes} processes per build)`,
);

console.log("\naims");
const none = medians.get("no tracing") ?? Number.NaN;
const thousand = medians.get("1,000 traces, no match") ?? Number.NaN;
hold(
  `at least ${AIM.untracedPerSecond.toLocaleString("en")} untraced packets per second`,
  1e9 / none >= AIM.untracedPerSecond,
);
hold(
  `1,000 traces that do not match: ${(thousand / none).toFixed(2)} × none, less than ${AIM.thousandTraces}`,
  thousand / none < AIM.thousandTraces,
);
hold("off differs from the stripped build by less than the noise", Math.abs(off.difference) <= off.noise);
process.exitCode = failures.length === 0 ? 0 : 1;
