import { TRACE_STATE_TTL_MS } from "#core/tracing";
import type { SinkLimits } from "./limits.ts";
import type { Parcel } from "./parcel.ts";

/** Oldest parcels among which one of a complete flow is looked for when one has to go. */
const LOOKED_AT = 64;

/** What waits, oldest first, bounded in number and bytes. */
export class ParcelQueue {
  private readonly limits: Pick<SinkLimits, "queueSegments" | "queueBytes">;
  /** Taken and put back: older than all others. */
  private returned: Parcel[] = [];
  private readonly items = new Map<number, Parcel>();
  /** Of each flow, the serials that stand in `items`. */
  private readonly flows = new Map<string, Set<number>>();
  private sizeBytes = 0;
  private losses = 0;

  constructor(limits: Pick<SinkLimits, "queueSegments" | "queueBytes">) {
    this.limits = limits;
  }

  get size(): number {
    return this.returned.length + this.items.size;
  }

  /** Without the losses. */
  get segments(): number {
    return this.size - this.losses;
  }

  /** Something can be taken. */
  get ready(): boolean {
    return this.first()?.ready === true;
  }

  /**
   * @param besides parcels that count too, though they do not stand here.
   * @returns those that had to go: whole flows, those first that nothing more is to be expected of.
   */
  push(parcel: Parcel, nowMs: number, besides = 0): Parcel[] {
    this.items.set(parcel.serial, parcel);
    this.account(parcel, 1);
    const gone: Parcel[] = [];
    const { queueSegments, queueBytes } = this.limits;
    while (this.size > 1 && (this.segments + besides > queueSegments || this.sizeBytes > queueBytes)) {
      const victim = this.victim(nowMs);
      if (victim === null) break;
      for (const one of this.flowOf(victim)) {
        this.remove(one);
        gone.push(one);
      }
    }
    return gone;
  }

  /** The oldest, at least one if there is one that is ready, and as many more as fit. */
  take(maxCount: number, maxBytes: number): Parcel[] {
    const taken: Parcel[] = [];
    let bytes = 0;
    for (let next = this.first(); next?.ready === true; next = this.first()) {
      if (taken.length >= maxCount || (taken.length > 0 && bytes + next.sizeBytes > maxBytes)) break;
      this.remove(next);
      taken.push(next);
      bytes += next.sizeBytes;
    }
    return taken;
  }

  /** Takes parcels back that were taken. */
  putBack(parcels: readonly Parcel[]): void {
    this.returned = [...parcels, ...this.returned];
    for (const parcel of parcels) this.account(parcel, 1);
  }

  /** A parcel that grew. */
  resized(parcel: Parcel, byBytes: number): void {
    if (this.items.has(parcel.serial)) this.sizeBytes += byBytes;
  }

  all(): readonly Parcel[] {
    return [...this.returned, ...this.items.values()];
  }

  clear(): void {
    for (const parcel of this.all()) this.remove(parcel);
  }

  private first(): Parcel | undefined {
    const [returned] = this.returned;
    if (returned !== undefined) return returned;
    for (const parcel of this.items.values()) return parcel;
    return undefined;
  }

  /** Of the oldest flow that is complete, else of the oldest at all. A loss only when there is nothing else. */
  private victim(nowMs: number): Parcel | null {
    const returned = this.returned.find((p) => p.kind === "segment");
    if (returned !== undefined) return returned;
    let oldest: Parcel | null = null;
    let looked = 0;
    for (const parcel of this.items.values()) {
      if (parcel.kind === "loss") continue;
      oldest ??= parcel;
      if (this.flowOf(parcel).every((p) => nowMs - p.atMs >= TRACE_STATE_TTL_MS)) return parcel;
      if (++looked >= LOOKED_AT) break;
    }
    return oldest;
  }

  private flowOf(parcel: Parcel): Parcel[] {
    const serials = this.items.has(parcel.serial) ? this.flows.get(parcel.flowTraceId ?? "") : undefined;
    if (serials === undefined) return [parcel];
    return [...serials].flatMap((serial) => this.items.get(serial) ?? []);
  }

  private remove(parcel: Parcel): void {
    if (this.items.delete(parcel.serial)) {
      const flow = parcel.flowTraceId ?? "";
      const serials = this.flows.get(flow);
      if (serials?.delete(parcel.serial) === true && serials.size === 0) this.flows.delete(flow);
    } else this.returned = this.returned.filter((p) => p !== parcel);
    this.account(parcel, -1);
  }

  private account(parcel: Parcel, sign: 1 | -1): void {
    this.sizeBytes += sign * parcel.sizeBytes;
    if (parcel.kind === "loss") this.losses += sign;
    if (sign < 0 || parcel.flowTraceId === null || !this.items.has(parcel.serial)) return;
    const serials = this.flows.get(parcel.flowTraceId);
    if (serials === undefined) this.flows.set(parcel.flowTraceId, new Set([parcel.serial]));
    else serials.add(parcel.serial);
  }
}
