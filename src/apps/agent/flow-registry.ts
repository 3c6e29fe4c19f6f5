import type { PortId } from "#core/base";
import type { Datapath } from "#core/datapath";
import { type FlowAction, type FlowMask, type FlowMatch, type FlowTag } from "#core/flows";

/** Lifetimes of installed flows. A flow that is used stays; what changes around it invalidates it by its tags. */
export const LIFETIME = {
  /** Idle timeout of ordinary flows, ms. */
  FLOW_IDLE_MS: 60_000,
  /** Idle timeout of flows from the tunnel to a local port, ms. */
  TUNNEL_IDLE_MS: 300_000,
  /** Hard timeout of drops that may pass by themselves (no route, no ARP answer, errors), ms. */
  ERROR_HARD_MS: 5_000,
} as const;

export interface InstalledFlow {
  readonly cookie: number;
  readonly match: FlowMatch;
  readonly mask: FlowMask;
  readonly tags: readonly FlowTag[];
  /** Where its packets enter the virtual network; null for flows from the tunnel. */
  readonly startPort: PortId | null;
}

export interface NewFlow {
  readonly cookie: number;
  readonly match: FlowMatch;
  readonly mask: FlowMask;
  readonly actions: readonly FlowAction[];
  readonly tags: readonly FlowTag[];
  readonly startPort: PortId | null;
  readonly idleTimeoutMs: number;
  readonly hardTimeoutMs: number;
}

/** The flows this agent has installed, by cookie and by tag. */
export class FlowRegistry {
  private readonly datapath: Datapath;
  private readonly flows = new Map<number, InstalledFlow>();
  private readonly byTag = new Map<FlowTag, Set<InstalledFlow>>();
  invalidated = 0;

  constructor(datapath: Datapath) {
    this.datapath = datapath;
  }

  get size(): number {
    return this.flows.size;
  }

  install(flow: NewFlow): void {
    const { cookie, match, mask, startPort } = flow;
    const tags = [...new Set(flow.tags)];
    const entry: InstalledFlow = { cookie, match: match.clone(), mask, tags, startPort };
    this.flows.set(cookie, entry);
    for (const tag of tags) {
      const set = this.byTag.get(tag);
      if (set === undefined) this.byTag.set(tag, new Set([entry]));
      else set.add(entry);
    }
    this.datapath.install({
      cookie,
      match: entry.match,
      mask,
      actions: flow.actions,
      idleTimeoutMs: flow.idleTimeoutMs,
      hardTimeoutMs: flow.hardTimeoutMs,
    });
  }

  /** Removes every flow that carries one of the tags; the next packet of each is simulated again. */
  invalidate(tags: readonly FlowTag[]): number {
    const stale = new Set<InstalledFlow>();
    for (const tag of tags) for (const flow of this.byTag.get(tag) ?? []) stale.add(flow);
    for (const flow of stale) this.remove(flow);
    this.invalidated += stale.size;
    return stale.size;
  }

  remove(flow: InstalledFlow): void {
    this.forget(flow.cookie);
    this.datapath.remove(flow.cookie);
  }

  /** The switch has removed it. */
  forget(cookie: number): void {
    const flow = this.flows.get(cookie);
    if (flow === undefined) return;
    this.flows.delete(cookie);
    for (const tag of flow.tags) {
      const set = this.byTag.get(tag);
      if (set === undefined) continue;
      set.delete(flow);
      if (set.size === 0) this.byTag.delete(tag);
    }
  }

  has(cookie: number): boolean {
    return this.flows.has(cookie);
  }

  withTag(tag: FlowTag): readonly InstalledFlow[] {
    return [...(this.byTag.get(tag) ?? [])];
  }

  isTagged(tag: FlowTag): boolean {
    return this.byTag.has(tag);
  }
}
