import type { PortId } from "#core/base";
import type { Datapath, FlowEntry } from "#core/datapath";
import { type FlowAction, type FlowMask, type FlowMatch, type FlowTag, sameActions } from "#core/flows";
import { type Tagged, TagIndex } from "./tag-index.ts";

/** Lifetimes of installed flows. A flow that is used stays; what changes around it invalidates it by its tags. */
export const LIFETIME = {
  /** Idle timeout of ordinary flows, ms. */
  FLOW_IDLE_MS: 60_000,
  /** Idle timeout of flows from the tunnel to a local port, ms. */
  TUNNEL_IDLE_MS: 300_000,
  /** Idle timeout of flows that answer a VM's ARP requests, ms: VMs ask again for what they use, but not every minute. */
  ARP_ANSWER_IDLE_MS: 300_000,
  /** Hard timeout of drops that may pass by themselves (no route, no ARP answer, errors), ms. */
  ERROR_HARD_MS: 5_000,
} as const;

/** One object for the agent's books and for the datapath: there are many. */
export interface InstalledFlow extends Tagged, FlowEntry {
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
  private readonly index = new TagIndex<InstalledFlow>();
  invalidated = 0;

  constructor(datapath: Datapath) {
    this.datapath = datapath;
  }

  get size(): number {
    return this.flows.size;
  }

  install(flow: NewFlow): void {
    const { cookie, mask, startPort, idleTimeoutMs, hardTimeoutMs } = flow;
    const set = this.index.setOf(flow.tags);
    // Flows of one way mostly do the same with their packets: then they share the list of actions.
    const alike = (set.members[0] as InstalledFlow | undefined)?.actions;
    const actions = alike !== undefined && sameActions(alike, flow.actions) ? alike : flow.actions;
    const match = flow.match.clone();
    const entry: InstalledFlow = {
      cookie,
      match,
      mask,
      actions,
      idleTimeoutMs,
      hardTimeoutMs,
      startPort,
      tagSet: null,
      place: 0,
    };
    this.flows.set(cookie, entry);
    this.index.add(entry, set);
    this.datapath.install(entry);
  }

  /** Removes every flow that carries one of the tags; the next packet of each is simulated again. */
  invalidate(tags: readonly FlowTag[]): number {
    const stale = new Set<InstalledFlow>();
    for (const tag of tags) for (const flow of this.index.with(tag)) stale.add(flow);
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
    this.index.remove(flow);
  }

  has(cookie: number): boolean {
    return this.flows.has(cookie);
  }

  withTag(tag: FlowTag): readonly InstalledFlow[] {
    return this.index.with(tag);
  }

  isTagged(tag: FlowTag): boolean {
    return this.index.has(tag);
  }
}
