import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { ApiServer } from "#apps/api";
import type { Lifecycle } from "#core/base";
import type { TraceStore } from "#core/tracing";

export interface IngestRate {
  readonly stepsPerSecond: number;
  readonly stepsPerCpuSecond: number;
  readonly flows: number;
  readonly segments: number;
}

const SECONDS = Number(process.env["MIDOTRACE_BENCH_SECONDS"] ?? 10);

/** Two hosts deliver from a process of their own, as fast as they are answered, to one API server in this process. */
export async function ingest(traceStore: TraceStore & Lifecycle): Promise<IngestRate> {
  const nsdb = new EmbeddedNsdb("memory:");
  await nsdb.start();
  const store = nsdb.session();
  await store.start();
  await traceStore.start();
  const parts = { clock: systemClock, scheduler: systemScheduler, random: systemRandom };
  const log = { info: () => undefined, error: (message: string, fields: unknown) => console.error(message, fields) };
  const server = new ApiServer({ ...parts, store, traceStore, log, host: "127.0.0.1", port: 0 });
  await server.start();
  const child = fork(new URL("./deliver.ts", import.meta.url), [server.url, String(SECONDS)], {
    execArgv: ["--conditions=source"],
  });
  const warm = await next(child);
  if (warm !== "warm") throw new Error(`the agents said ${JSON.stringify(warm)}`);
  const before = process.cpuUsage();
  const began = performance.now();
  child.send("go");
  const done = (await next(child)) as { readonly steps: number; readonly flows: number; readonly segments: number };
  const seconds = (performance.now() - began) / 1_000;
  const used = process.cpuUsage(before);
  const ended = once(child, "exit");
  child.disconnect();
  await ended;
  await server.stop();
  await traceStore.stop();
  await nsdb.stop();
  const { steps, flows, segments } = done;
  return {
    stepsPerSecond: steps / seconds,
    stepsPerCpuSecond: (steps * 1e6) / (used.user + used.system),
    flows,
    segments,
  };
}

async function next(child: ChildProcess): Promise<unknown> {
  const [message] = (await Promise.race([
    once(child, "message"),
    once(child, "exit").then(() => ["the process ended"]),
  ])) as unknown[];
  return message;
}
