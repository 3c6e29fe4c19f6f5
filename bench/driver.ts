import type { PortId } from "#core/base";
import type { FlowTag } from "#core/flows";
import type { FlowState, PacketContext, Simulation, TraceGate } from "#core/simulation";
import type { BridgeDevice, RouterDevice, TopologyRecords, TopologyView } from "#core/topology";
import type { Benchmark } from "./measure.ts";
import { frames, INGRESS, network, serverIp, serverMac, SERVERS, VM_MAC } from "./network.ts";

/** A build of the core: the repository's, or a copy of it. This file itself imports only types from the core. */
export interface Build {
  readonly PacketContext: new (view: TopologyView) => PacketContext;
  readonly Simulation: new (view: TopologyView, state: FlowState, gate: TraceGate) => Simulation;
  compile(records: TopologyRecords): TopologyView;
}

interface Known {
  readonly port: PortId;
  readonly tag: FlowTag;
}

interface Neighbour {
  readonly mac: number;
  readonly tag: FlowTag;
}

/** MAC and ARP tables as the agent keeps them: a map per device, keyed by number. All servers and the VM are known. */
class Tables implements FlowState {
  private readonly macs = new Map<string, Map<number, Known>>();
  private readonly neighbours = new Map<string, Map<number, Neighbour>>();

  constructor() {
    const t = network();
    const known = (port: string): Known => ({ port: t.portId(port), tag: `mac:${port}` });
    this.macs.set(t.bridgeId("web"), new Map([[VM_MAC, known(INGRESS)]]));
    const servers = Array.from({ length: SERVERS }, (_, n) => n);
    this.macs.set(t.bridgeId("db"), new Map(servers.map((n) => [serverMac(n), known(`db/s${n}`)])));
    const neighbour = (n: number): Neighbour => ({ mac: serverMac(n), tag: `arp:${n}` });
    this.neighbours.set(t.routerId("r"), new Map(servers.map((n) => [serverIp(n), neighbour(n)])));
  }

  mac(bridge: BridgeDevice, _vlan: number, mac: number): Known | null {
    return this.macs.get(bridge.id)?.get(mac) ?? null;
  }

  arp(router: RouterDevice, ip: number): Neighbour | null {
    return this.neighbours.get(router.id)?.get(ip) ?? null;
  }
}

/** A gate for traces that are not to match. */
export const SILENT: TraceGate = {
  decide(): never {
    throw new Error("a trace matched that should not have");
  },
};

/** Parses and simulates frames of ever new conversations. */
export class Driver implements Benchmark {
  readonly batch: number;
  private readonly ctx: PacketContext;
  private readonly simulation: Simulation;
  private readonly frames: readonly Uint8Array[];
  private readonly port: PortId;

  constructor(build: Build, records: TopologyRecords, gate: TraceGate, batch: number) {
    const view = build.compile(records);
    this.ctx = new build.PacketContext(view);
    this.simulation = new build.Simulation(view, new Tables(), gate);
    this.frames = frames(batch);
    this.batch = batch;
    this.port = network().portId(INGRESS);
    for (const [i, text] of this.results().entries())
      if (!text.startsWith("delivered 1 ")) throw new Error(`frame ${i} was to be delivered to one port: ${text}`);
  }

  run(): number {
    const { ctx, simulation, frames, port } = this;
    let total = 0;
    for (let i = 0; i < frames.length; i++) {
      ctx.begin(frames[i] as Uint8Array, port, false);
      simulation.run(ctx);
      total += ctx.outputs.length + ctx.tags.length;
    }
    return total;
  }

  /** What became of each frame, to compare builds by. */
  results(): string[] {
    const { ctx, simulation } = this;
    return this.frames.map((frame) => {
      ctx.begin(frame, this.port, false);
      simulation.run(ctx);
      const out = ctx.outputs.map((o) => `${o.port.id} ${Object.values(o.header).join(",")} ${o.rewritten}`);
      const seen = `${ctx.seen}/${ctx.nwSrcBits}/${ctx.nwDstBits}`;
      return `${ctx.verdict} ${ctx.outputs.length} ${out.join(" ")} ${seen} ${ctx.tags.join(" ")}`;
    });
  }
}
