import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { openExporters } from "#adapters/exporters";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import type { Exporter } from "#core/exporting";
import { sinkToAll } from "#core/tracing";
import { agentScene, NullDatapath } from "./agent-scene.ts";
import { conversation } from "./conversations.ts";

/*
 * An agent that traces every packet, and exports to what argv says: `none`; `dead`, three targets where nobody listens; `hung`,
 * one that takes requests and never answers. Each round is a number of packets, each of a conversation of its own, from their
 * coming up to their segments being with the exporters.
 */

const VM_PORT = 2;
const AT_ONCE = 50;

async function targets(kind: string): Promise<string[]> {
  const server = createServer((request) => void request.resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  if (kind === "hung") return [`elasticsearch://127.0.0.1:${port}`];
  await new Promise((resolve) => server.close(resolve));
  if (kind === "none") return [];
  return [`elasticsearch://127.0.0.1:${port}`, `logstash://127.0.0.1:${port}`, `splunk://token@127.0.0.1:${port}`];
}

const parts = { unit: "steps", clock: systemClock, scheduler: systemScheduler, random: systemRandom } as const;
const exporters: Exporter[] = await openExporters(await targets(process.argv[2] ?? ""), { ...parts, log: () => {} });
for (const exporter of exporters) await exporter.start();
let steps = 0;
const counting = {
  segment: (s: { readonly steps: readonly unknown[] }) => void (steps += s.steps.length),
  lost: () => {},
};
const datapath = new NullDatapath();
const { agent, nsdb } = await agentScene(datapath, sinkToAll([counting, ...exporters]));
const bridge = (await nsdb.bridges.list()).find((b) => b.name === "web");
await nsdb.traces.create({
  name: "all",
  deviceType: "BRIDGE",
  deviceId: bridge?.id ?? "",
  condition: {},
  limit: 1_000_000_000n,
  enabled: true,
});

let next = 0;

/** The first packets make the agent load its topology. */
async function settled(): Promise<void> {
  for (let i = 0; i < 1_000 && agent.counters().traced < 2; i++) {
    datapath.arrive(conversation(next++), VM_PORT);
    await agent.settled();
    await new Promise<void>((resolve) => setTimeout(resolve, 5));
  }
  datapath.expire();
  if (agent.counters().traced === 0) throw new Error("nothing is traced");
}

/** @returns ns of this process per packet, its threads counted: what others do on the machine is not in it. */
async function round(packets: number): Promise<number> {
  const frames = Array.from({ length: packets }, () => conversation(next++));
  const tracedBefore = agent.counters().traced;
  const start = process.cpuUsage();
  for (let i = 0; i < packets; i += AT_ONCE) {
    for (const frame of frames.slice(i, i + AT_ONCE)) datapath.arrive(frame, VM_PORT);
    datapath.expire();
    // The segments go on, and exporters do what they do.
    for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const { user, system } = process.cpuUsage(start);
  const ns = ((user + system) * 1_000) / packets;
  if (agent.counters().traced - tracedBefore !== packets) throw new Error("not every packet was traced");
  return ns;
}

/** What became of the steps: nothing may be lost silently here either. */
function account(): string {
  const wrong = exporters.filter((e) => {
    const { offered, delivered, waiting, lost } = e.counters();
    return offered !== steps || delivered + waiting + Object.values(lost).reduce((a, b) => a + b, 0) !== offered;
  });
  if (wrong.length > 0)
    throw new Error(`steps are missing: ${JSON.stringify(wrong.map((e) => e.counters()))} of ${steps}`);
  return `${steps} steps${exporters.map((e) => `, ${e.counters().lost["queue-full"] ?? 0} lost for ${e.name.split(":")[0]}`).join("")}`;
}

process.on("message", ({ packets }: { readonly packets: number }) => {
  const answer = packets === 0 ? Promise.resolve(account()) : round(packets);
  answer.then(
    (value) => process.send?.(value),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
await settled();
process.send?.("ready");
