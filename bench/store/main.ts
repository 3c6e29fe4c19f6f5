import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { neverPretenure, systemClock, systemScheduler } from "#adapters/platform";
import { openTraceStore } from "#adapters/trace-store-open";
import { postgresMissing, PostgresServer } from "../../test/support/postgres.ts";
import { ascending, quantile } from "../measure.ts";
import { ingest } from "./ingest.ts";
import { READS, readAll } from "./reads.ts";
import { fill } from "./fill.ts";

/*
 * The trace store under load: how many steps one API process takes by HTTP, and how long lists, filters, one flow and paths
 * take among many stored flows. `--flows N` (default 1,000,000), `--postgres` for PostgreSQL instead of SQLite, `--only
 * ingest|reads`.
 */

const AIM = { stepsPerSecond: 50_000, readMs: 200 };

neverPretenure();
const args = process.argv.slice(2);
const valueOf = (name: string, absent: string): string => args[args.indexOf(name) + 1 || args.length] ?? absent;
const flows = Number(valueOf("--flows", "1000000"));
const only = valueOf("--only", "");
const failures: string[] = [];

function hold(what: string, held: boolean): void {
  console.log(`  ${held ? "holds " : "MISSED"} ${what}`);
  if (!held) failures.push(what);
}

console.log(
  `${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, load ${(loadavg()[0] ?? 0).toFixed(1)}`,
);
const directory = mkdtempSync(join(tmpdir(), "midotrace-bench-"));
let server: PostgresServer | null = null;
try {
  if (args.includes("--postgres")) {
    const missing = postgresMissing();
    if (missing !== null) throw new Error(missing);
    server = await PostgresServer.make();
  }
  const url = server?.url ?? `file:${directory}`;
  console.log(server === null ? "SQLite in a file, synchronous=FULL" : "PostgreSQL by a socket, fsync off");
  const options = {
    clock: systemClock,
    scheduler: systemScheduler,
    maxFlows: 10 * flows + 1_000_000,
    maxBytes: 2 ** 50,
  };
  if (only !== "reads") {
    const rate = await ingest(openTraceStore(url, options));
    console.log(
      `\ningest by HTTP   ${Math.round(rate.stepsPerSecond).toLocaleString("en")} steps/s (${Math.round(rate.stepsPerCpuSecond).toLocaleString("en")} per second of this process's CPU), ${rate.flows.toLocaleString("en")} flows, ${rate.segments.toLocaleString("en")} segments`,
    );
    hold(
      `at least ${AIM.stepsPerSecond.toLocaleString("en")} steps per second`,
      rate.stepsPerSecond >= AIM.stepsPerSecond,
    );
  }
  if (only !== "ingest") {
    const store = openTraceStore(url, options);
    await store.start();
    const filled = await fill(store, flows);
    console.log(
      `\n${flows.toLocaleString("en")} flows stored in ${(filled / 1_000).toFixed(0)} s; ms, median and p99 of each read`,
    );
    for (const [name, times] of await readAll(store, flows)) {
      const sorted = ascending(times);
      const [median, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
      console.log(`  ${name.padEnd(44)}${median.toFixed(1).padStart(8)}${p99.toFixed(1).padStart(9)}`);
      if (median >= AIM.readMs) failures.push(name);
    }
    hold(`all ${READS.length} reads under ${AIM.readMs} ms (median)`, failures.length === 0);
    await store.stop();
  }
} finally {
  await server?.remove();
  rmSync(directory, { recursive: true, force: true });
}
process.exitCode = failures.length === 0 ? 0 : 1;
