import type { PortId } from "#core/base";
import { PacketContext, type WaitedFor } from "#core/simulation";
import type { TopologyView } from "#core/topology";
import type { ArpQuestion } from "./arp-answers.ts";
import type { TracedFlow } from "./trace-gate.ts";

/** One packet from its arrival to its end, through waits. Used again for another packet after its end. */
export class PacketJob {
  readonly ctx: PacketContext;
  cookie = 0;
  inPort = 0;
  startedAtMs = 0;
  tracedFlows: readonly TracedFlow[] = NONE;
  /** How many generated packets led to this one. */
  depth = 0;
  /** Rounds of waiting; a packet that never gets what it waits for ends. */
  rounds = 0;
  /** The ARP request that this packet is the reply to; null: it is none, or one that no flow is made of. */
  answering: ArpQuestion | null = null;

  constructor(view: TopologyView) {
    this.ctx = new PacketContext(view);
  }

  /** Begins a packet; everything of the one before is forgotten. */
  begin(cookie: number, inPort: number, frame: Uint8Array, port: PortId, generated: boolean, nowMs: number): this {
    this.cookie = cookie;
    this.inPort = inPort;
    this.startedAtMs = nowMs;
    this.tracedFlows = NONE;
    this.depth = 0;
    this.rounds = 0;
    this.answering = null;
    const { ctx } = this;
    ctx.begin(frame, port, generated);
    ctx.cookie = cookie;
    ctx.original.inPort = inPort;
    return this;
  }

  waited(what: WaitedFor): void {
    this.rounds++;
    this.ctx.waits.push(what);
  }
}

const NONE: readonly TracedFlow[] = [];
