import { fileURLToPath } from "node:url";
import { JsonLinesLog, RotatedFile, StreamOutput } from "#adapters/event-log";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { openWebFiles } from "#adapters/web-files";
import type { Log } from "#apps/agent";
import { type ListenAddress, parseListen, requireLoopback } from "#apps/api";
import { command, type ExitCode, type Io, readYaml, untilStopped, usage } from "#apps/cli/options";
import { MidotraceError, SeededRandom } from "#core/base";
import { banner } from "./banner.ts";
import { enableTrace } from "./example-trace.ts";
import { showFirstFlow } from "./first-flow.ts";
import { Lab } from "./lab.ts";
import { LAB_OPTIONS, type LabOptionValues } from "./options.ts";
import { parseReplaySpec } from "./replay.ts";
import { beginReplays } from "./replays.ts";
import { painter } from "./screen.ts";
import { parseVmTable, type VmTable } from "./vm-table.ts";

/** Mean time between two errands of the traffic. */
const MEAN_GAP_MS = 700;
const EXAMPLE = fileURLToPath(new URL("../../../examples/example.yaml", import.meta.url));
const EXAMPLE_VMS = fileURLToPath(new URL("../../../examples/example-vms.yaml", import.meta.url));
const EXAMPLE_ROUTER = "red-router";
const EXAMPLE_CONDITION = "icmp";

export const labCommand = command({
  name: "lab",
  summary: "run a whole cluster on this machine: API, an agent per host, VMs and their traffic",
  positionals: [],
  options: LAB_OPTIONS,
  examples: [
    "midotrace lab",
    "midotrace lab --ovs",
    "midotrace lab --topology my-network.yaml --vms my-vms.yaml --data ./lab-data",
    "midotrace lab --no-traffic --replay red-web/red-1=capture.pcap.gz --replay-speed max",
  ],
  run: ({ options, io }) => runLab(options, io),
});

async function runLab(options: LabOptionValues, io: Io): Promise<ExitCode> {
  const listen = parseListen(options.listen);
  requireLoopback(listen.host, options.insecure);
  if (options.ovs) return runOnOvs(options, listen, io);
  const replays = options.replay.map(parseReplaySpec);
  const exampleNetwork = options.topology === null;
  const vms = await vmTable(options.vms ?? (exampleNetwork ? EXAMPLE_VMS : null));
  const keep = options.data !== null && !options.ephemeral ? options.data : null;
  const traceLog = logOf(options);
  await traceLog?.start();
  const lab = new Lab({
    storeUrl: keep === null ? "memory:" : `file:${keep}`,
    listen,
    insecure: options.insecure,
    topology: await readYaml(options.topology ?? EXAMPLE),
    vms,
    traffic: options["no-traffic"] ? null : { random: new SeededRandom(Number(options.seed)), meanGapMs: MEAN_GAP_MS },
    traceLog,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    log: logTo(io),
    version: io.version,
    site: openWebFiles(),
  });
  try {
    await lab.start().catch((error: unknown) => Promise.reject(explained(error, options)));
    const trace = await exampleTrace(lab);
    const paint = painter(io);
    const source = options.topology === null ? "the example, examples/example.yaml" : options.topology;
    const store = keep === null ? "in memory, gone with the lab" : keep;
    const { traffic: errands } = vms;
    io.out(banner(lab, { store, source, traffic: !options["no-traffic"], errands: errands.length, trace }, paint));
    if (trace !== null) showFirstFlow(lab, trace.id, io, paint);
    const replaying = await beginReplays(
      lab,
      replays,
      { speed: options["replay-speed"] === "max" ? "max" : "recorded", scheduler: systemScheduler },
      io,
      paint,
    );
    lab.beginTraffic();
    io.out(`\n  ${paint("faint", "The lab runs until Ctrl+C.")}\n`);
    await untilStopped(io);
    replaying.stop();
    io.out(`\n  ${paint("faint", "stopping")}\n`);
  } finally {
    await lab.stop();
    await traceLog?.stop();
  }
  return 0;
}

/** The same network on real parts. Their code is loaded only here: the embedded lab needs none of it. */
async function runOnOvs(options: LabOptionValues, listen: ListenAddress, io: Io): Promise<ExitCode> {
  for (const name of ["replay", "data", "log-file"] as const) {
    const value = options[name];
    if (value !== null && value.length > 0) throw usage(`--${name} is for the lab in one process: leave out --ovs`);
  }
  const exampleNetwork = options.topology === null;
  const { runRealLab } = await import("./real/main.ts");
  return runRealLab(
    {
      listen,
      topology: await readYaml(options.topology ?? EXAMPLE),
      source: options.topology ?? "the example, examples/example.yaml",
      vms: await vmTable(options.vms ?? (exampleNetwork ? EXAMPLE_VMS : null)),
      traffic: !options["no-traffic"],
      seed: Number(options.seed),
      meanGapMs: MEAN_GAP_MS,
      zookeepers: options.zookeepers === "3" ? 3 : 1,
      example: { router: EXAMPLE_ROUTER, condition: EXAMPLE_CONDITION },
    },
    io,
  ).catch((error: unknown) => Promise.reject(explained(error, options)));
}

/** The example trace, on a network that has the router it is about. */
async function exampleTrace(lab: Lab): Promise<{ id: string; name: string; text: string } | null> {
  const router = lab.records?.routers.find((r) => r.name === EXAMPLE_ROUTER);
  if (router === undefined) return null;
  const wanted = { name: "example", deviceType: "ROUTER", deviceId: router.id, condition: EXAMPLE_CONDITION } as const;
  const id = await enableTrace(lab.url, wanted);
  return { id, name: wanted.name, text: `"${wanted.name}" enabled on router ${router.name}, for ${wanted.condition}` };
}

async function vmTable(file: string | null): Promise<VmTable> {
  return file === null ? { vms: [], traffic: [] } : parseVmTable(await readYaml(file));
}

function logOf(options: LabOptionValues): JsonLinesLog | null {
  const path = options["log-file"];
  if (path === null) return null;
  const output = path === "-" ? new StreamOutput(process.stdout) : new RotatedFile({ path });
  return new JsonLinesLog({ output, clock: systemClock, format: options["log-format"] === "text" ? "text" : "json" });
}

/** What an operator has to know; the rest would drown the lab's own words. */
function logTo(io: Io): Log {
  return (level, message, fields) => {
    if (level === "warn" || level === "error") io.err(`${level}: ${message} ${JSON.stringify(fields)}\n`);
  };
}

/** Failures of the start in words that name the option to change. */
function explained(error: unknown, options: LabOptionValues): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const about = (message: string): MidotraceError => new MidotraceError("CONFLICT", message, [], { cause: error });
  if (code === "EADDRINUSE") {
    return about(
      `${options.listen} is in use already: is another lab running? --listen names another address (port 0: any free one)`,
    );
  }
  if (code === "EACCES") return about(`--listen ${options.listen}: this user may not listen there`);
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
    return about(`--listen ${options.listen}: this machine does not have that address`);
  }
  return error;
}
