import { parseArgs } from "node:util";
import { zookeeperMissing } from "#adapters/testbed";
import { arming } from "./arming.ts";
import { firstPackets } from "./first-packets.ts";
import { labMissing, load, machine, toolsMissing } from "./machine.ts";
import { memory } from "./memory.ts";
import { reactive } from "./reactive.ts";
import type { Aim } from "./report.ts";
import { Scope } from "./scope.ts";
import { throughput } from "./throughput.ts";

interface Section {
  readonly key: string;
  readonly title: string;
  readonly catches: string;
  /** What of it is not on this machine, with the command that helps. */
  readonly missing: () => string | null;
  readonly run: (scope: Scope, quick: boolean) => Promise<Aim[]>;
}

const SECTIONS: readonly Section[] = [
  {
    key: "a",
    title: "controllers alone: new flows of an emulated switch",
    catches: "a packet path that got longer: simulation, OpenFlow, books of flows",
    missing: () => toolsMissing("taskset", "ovs-testcontroller", "osken-manager"),
    run: reactive,
  },
  {
    key: "b",
    title: "the real switch: first packets of new flows",
    catches: "what only the switch sees: order, batching and size of what it is told, packets lost in queues",
    missing: () => labMissing("ovs-testcontroller", "python3", "ping"),
    run: firstPackets,
  },
  {
    key: "c",
    title: "throughput of a running flow while others are traced",
    catches: "an enabled trace that costs flows which it does not match: revalidated, narrowed or sent up",
    missing: () => labMissing("iperf3", "python3", "ping"),
    run: throughput,
  },
  {
    key: "d",
    title: "from PUT to armed on 100 agents",
    catches: "reads and watches per agent that add up, and work of the API before it answers",
    missing: zookeeperMissing,
    run: arming,
  },
  {
    key: "e",
    title: "memory of an agent",
    catches: "modules loaded for nothing, and what the books keep of each flow",
    missing: () => labMissing("taskset"),
    run: memory,
  },
];

const { values } = parseArgs({ options: { only: { type: "string" }, quick: { type: "boolean", default: false } } });
const chosen = SECTIONS.filter((s) => values.only === undefined || values.only.split(",").includes(s.key));
if (chosen.length === 0) {
  console.error(`--only ${values.only}: there are ${SECTIONS.map((s) => s.key).join(", ")}`);
  process.exit(2);
}

let current = new Scope();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    console.error("stopped: removing what was made");
    void current.close().finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
  });
}

console.log(machine());
if (values.quick) console.log("--quick: a smoke run, whose figures mean little");
const aims: Aim[] = [];
for (const { key, title, catches, missing, run } of chosen) {
  console.log(`\n(${key}) ${title}, ${load()}   catches: ${catches}`);
  const part = missing();
  if (part !== null) {
    console.log(`  skipped: ${part}`);
    if (process.env["MIDOTRACE_REQUIRE_ALL"] === "1")
      aims.push({ what: `(${key}) was measured: ${part}`, held: false });
    continue;
  }
  current = new Scope();
  try {
    aims.push(...(await run(current, values.quick)));
  } catch (error) {
    // Whoever stopped it knows why, and is waiting for the ends to be tied up.
    if (current.signal.aborted) await new Promise(() => undefined);
    console.error(error);
    aims.push({ what: `(${key}) was measured: ${String(error)}`, held: false });
  }
  await current.close().catch((error: unknown) => {
    console.error(error);
    aims.push({ what: `(${key}) nothing was left behind: ${String(error)}`, held: false });
  });
}
console.log("\naims");
for (const { what, held } of aims) console.log(`  ${held ? "holds " : "MISSED"} ${what}`);
process.exitCode = aims.every((a) => a.held) ? 0 : 1;
