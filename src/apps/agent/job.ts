import type { PortId } from "#core/base";
import { PacketContext, type WaitedFor } from "#core/simulation";
import type { TopologyView } from "#core/topology";
import type { TracedFlow } from "./trace-gate.ts";

/** One packet from its arrival to its end, through waits. */
export class PacketJob {
  readonly ctx: PacketContext;
  readonly cookie: number;
  readonly inPort: number;
  startedAtMs = 0;
  tracedFlows: readonly TracedFlow[] = [];
  /** How many generated packets led to this one. */
  depth = 0;
  /** Rounds of waiting; a packet that never gets what it waits for ends. */
  rounds = 0;

  constructor(view: TopologyView, cookie: number, inPort: number) {
    this.ctx = new PacketContext(view);
    this.cookie = cookie;
    this.inPort = inPort;
    this.ctx.cookie = cookie;
  }

  begin(frame: Uint8Array, port: PortId, generated: boolean, nowMs: number): this {
    this.startedAtMs = nowMs;
    this.ctx.begin(frame, port, generated);
    this.ctx.original.inPort = this.inPort;
    return this;
  }

  waited(what: WaitedFor): void {
    this.rounds++;
    this.ctx.waits.push(what);
  }
}
