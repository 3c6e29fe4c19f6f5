import type { ChainId, RuleId } from "#core/base";
import { type ArmedTrace, sameCondition, TraceIndex, type VirtualDevice } from "#core/topology";
import type { TracesByDevice } from "./topology-reader.ts";

export interface Arming {
  /** Traces that are new to the device, or ask for more than they did. */
  readonly fresh: readonly ArmedTrace[];
  /** Rules that are there no more. */
  readonly gone: readonly RuleId[];
}

/**
 * Which traces are armed on the devices that this agent knows, and which of them have used up their limit. They stand in
 * chains, and a chain is on the way of many devices: when one is enabled, its chain is read again and no device is.
 */
export class ArmedTraces {
  private readonly byChain = new Map<ChainId, TracesByDevice>();
  private readonly byDevice = new Map<string, readonly ArmedTrace[]>();
  private readonly exhausted = new Set<RuleId>();

  /** The exhausted ones too. */
  get count(): number {
    let count = 0;
    for (const traces of this.byDevice.values()) count += traces.length;
    return count;
  }

  *all(): Iterable<ArmedTrace> {
    for (const traces of this.byDevice.values()) yield* traces;
  }

  /** The limit of this enabling is used up on this host: its rule is not looked at any more. */
  exhaust(rule: RuleId, device: VirtualDevice | null): void {
    this.exhausted.add(rule);
    if (device !== null && device.traces !== null) device.traces = this.index(device.traces.traces);
  }

  /** The traces in a chain as it was just read. @returns devices that have some, or had, and are to be armed anew. */
  read(chain: ChainId, traces: TracesByDevice): Iterable<string> {
    const before = this.byChain.get(chain) ?? NO_TRACES;
    if (traces.size > 0) this.byChain.set(chain, traces);
    else this.byChain.delete(chain);
    return new Set([...before.keys(), ...traces.keys()]);
  }

  /**
   * Gives the device the traces in its infilter.
   * @param device null: it is gone, or not known. @param previous as it was until now.
   */
  arm(id: string, device: VirtualDevice | null, previous: VirtualDevice | null): Arming {
    const before = this.byDevice.get(id) ?? NONE;
    const infilter = device?.inFilter ?? null;
    const traces = infilter === null ? NONE : (this.byChain.get(infilter)?.get(id) ?? NONE);
    const { is, was } = difference(traces, before);
    if (is.length + was.length === 0) {
      if (device !== null && device !== previous) device.traces = previous?.traces ?? this.index(traces);
      return NOTHING_NEW;
    }
    const known = new Map(was.map((t) => [t.ruleId, t]));
    // An enabling whose condition or limit was changed could match flows that it could not match before.
    const fresh = is.filter((t) => !asksTheSame(known.get(t.ruleId), t));
    for (const { ruleId } of is) known.delete(ruleId);
    for (const { ruleId } of fresh) this.exhausted.delete(ruleId);
    for (const rule of known.keys()) this.exhausted.delete(rule);
    if (traces.length > 0) this.byDevice.set(id, traces);
    else this.byDevice.delete(id);
    if (device !== null) device.traces = this.index(traces);
    return { fresh, gone: [...known.keys()] };
  }

  private index(traces: readonly ArmedTrace[]): TraceIndex | null {
    const live = this.exhausted.size === 0 ? traces : traces.filter((t) => !this.exhausted.has(t.ruleId));
    return live.length === 0 ? null : new TraceIndex(live);
  }
}

const NONE: readonly ArmedTrace[] = [];
const NO_TRACES: TracesByDevice = new Map();
const NOTHING_NEW: Arming = { fresh: [], gone: [] };

/** The lists without the elements that they begin with alike, and those that they end with. */
function difference<T>(is: readonly T[], was: readonly T[]): { readonly is: readonly T[]; readonly was: readonly T[] } {
  const shorter = Math.min(is.length, was.length);
  let first = 0;
  while (first < shorter && is[first] === was[first]) first++;
  let last = 0;
  while (last < shorter - first && is[is.length - 1 - last] === was[was.length - 1 - last]) last++;
  return { is: is.slice(first, is.length - last), was: was.slice(first, was.length - last) };
}

function asksTheSame(a: ArmedTrace | undefined, b: ArmedTrace): boolean {
  return a !== undefined && a.limit === b.limit && sameCondition(a.condition.source, b.condition.source);
}
