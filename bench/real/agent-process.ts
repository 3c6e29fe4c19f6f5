import { OvsDatapath, type SwitchConfig, type SwitchConfigListener } from "#adapters/datapath-ovs";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { agentScene } from "../agent-scene.ts";
import { SERVERS } from "../conversations.ts";
import { TUNNEL_OFPORT, VM_OFPORT } from "./ports.ts";

/*
 * The agent with everything but a real switch: a process of its own. argv: where the emulated switch takes connections, and
 * `simulate` for an agent that knows the way of no packet before it has simulated it. The parent says "memory"; the answer
 * is a `Memory`.
 */

/** After a collection of all garbage. */
export interface Memory {
  readonly flows: number;
  readonly rssBytes: number;
  /** Of the heap and of what its objects hold outside of it. */
  readonly usedBytes: number;
}

const [address = "", how = ""] = process.argv.slice(2);

/** The emulated switch has no database: its ports are as they are. */
class FixedConfig implements SwitchConfig {
  private listener: SwitchConfigListener | null = null;
  readonly datapathType = "netdev";
  readonly tunnelFrameLimit = Infinity;

  listen(listener: SwitchConfigListener): void {
    this.listener = listener;
  }

  async start(): Promise<void> {
    const { listener } = this;
    listener?.bridgeReady(address);
    listener?.portChanged("tunnel", { ofport: TUNNEL_OFPORT, name: "tunnel", kind: "tunnel", up: true });
    listener?.portChanged("vm", { ofport: VM_OFPORT, name: "vm", kind: "vm", up: true });
    for (let n = 0; n < SERVERS; n++)
      listener?.portChanged(`s${n}`, { ofport: 10 + n, name: `s${n}`, kind: "vm", up: true });
  }

  async stop(): Promise<void> {}
  bindInterfaces(): void {}
  setPeers(): void {}
  waitingFor(): readonly string[] {
    return [];
  }
}

const datapath = new OvsDatapath({
  config: new FixedConfig(),
  clock: systemClock,
  scheduler: systemScheduler,
  random: systemRandom,
  log: (level, message, fields) => {
    if (level === "warn" || level === "error") console.error(message, fields);
  },
});
const { agent, nsdb } = await agentScene(datapath);
if (how === "simulate") {
  // A trace of one port, which no packet has: it looks at each packet's, so that no two of them are alike.
  const bridge = (await nsdb.bridges.list()).find((b) => b.name === "web");
  const condition = { dlType: 0x0800, nwProto: 17, tpSrc: { start: 9, end: 9 } };
  const wanted = {
    name: "one port",
    deviceType: "BRIDGE",
    deviceId: bridge?.id ?? "",
    condition,
    enabled: true,
  } as const;
  await nsdb.traces.create(wanted);
  await agent.settled();
}
process.send?.("ready");
process.on("message", () => {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc");
  globalThis.gc();
  globalThis.gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  const memory: Memory = { flows: agent.counters().flows, rssBytes: rss, usedBytes: heapUsed + external };
  process.send?.(memory);
});
process.on("disconnect", () => process.exit());
