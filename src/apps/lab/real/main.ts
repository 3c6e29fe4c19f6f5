import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { type ExitCode, type Io, untilStopped } from "#apps/cli/options";
import { SeededRandom } from "#core/base";
import { enableTrace } from "../example-trace.ts";
import { painter } from "../screen.ts";
import type { VmTable } from "../vm-table.ts";
import { realBanner } from "./banner.ts";
import { RealTraffic } from "./errands.ts";
import { showFirstFlowOf } from "./first-flow.ts";
import { freePort } from "./preflight.ts";
import { RealLab } from "./real-lab.ts";

export interface RealLabRun {
  readonly listen: { readonly host: string; readonly port: number };
  /** Content of the topology's file, and what people call it. */
  readonly topology: unknown;
  readonly source: string;
  readonly vms: VmTable;
  readonly traffic: boolean;
  readonly seed: number;
  readonly meanGapMs: number;
  readonly zookeepers: 1 | 3;
  /** Router and condition of the trace that is enabled. */
  readonly example: { readonly router: string; readonly condition: string };
}

/**
 * `midotrace lab --ovs` until it is stopped.
 * @throws MidotraceError; Error of Node.js when the API cannot listen where it is to.
 */
export async function runRealLab(wanted: RealLabRun, io: Io): Promise<ExitCode> {
  const paint = painter(io);
  const began = performance.now();
  const { host, port } = wanted.listen;
  const lab = new RealLab({
    ...wanted,
    listen: { host, port: await freePort(host, port) },
    stop: io.stop,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    warn: (message) => io.err(`${paint("strong", "warning")}: ${message}\n`),
    progress: (what) => io.err(`${paint("faint", `${seconds(began)} s  ${what}`)}\n`),
  });
  try {
    await lab.start();
    const trace = await exampleTrace(lab, wanted.example);
    const facts = { source: wanted.source, errands: wanted.traffic ? wanted.vms.traffic.length : 0 };
    const text =
      trace === null ? null : `"example" enabled on ${wanted.example.router}, for ${wanted.example.condition}`;
    io.out(realBanner(lab, { ...facts, seconds: Number(seconds(began)), trace: text }, paint));
    if (trace !== null) void showFirstFlowOf(lab.url, trace, io, paint);
    const traffic = new RealTraffic({
      vms: new Map(lab.vms.map((v) => [v.name, v])),
      errands: wanted.traffic ? wanted.vms.traffic : [],
      random: new SeededRandom(wanted.seed),
      scheduler: systemScheduler,
      meanGapMs: wanted.meanGapMs,
    });
    traffic.start();
    io.out(`\n  ${paint("faint", "The lab runs until Ctrl+C.")}\n`);
    await untilStopped(io);
    traffic.stop();
    io.out(`\n  ${paint("faint", "stopping")}\n`);
  } finally {
    await lab.stop();
  }
  return 0;
}

const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1);

/** On a network that has the router it is about; null otherwise. */
async function exampleTrace(lab: RealLab, { router, condition }: RealLabRun["example"]): Promise<string | null> {
  const device = lab.records?.routers.find((r) => r.name === router);
  if (device === undefined) return null;
  return enableTrace(lab.url, { name: "example", deviceType: "ROUTER", deviceId: device.id, condition });
}
