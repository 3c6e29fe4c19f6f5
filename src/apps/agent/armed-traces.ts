import type { RuleId } from "#core/base";
import { type ArmedTrace, sameCondition, TraceIndex, type VirtualDevice } from "#core/topology";

export interface Arming {
  /** Traces that are new to a device that was known before, or ask for more than they did; none for a new device. */
  readonly fresh: readonly ArmedTrace[];
  /** Rules that are there no more. */
  readonly gone: readonly RuleId[];
}

/** Which traces are armed on the devices that this agent knows, and which of them have used up their limit. */
export class ArmedTraces {
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

  /**
   * Gives the device, as it was just read, its traces.
   * @param device null: it is gone. @param previous as it was before; null: it was not known.
   */
  arm(id: string, device: VirtualDevice | null, previous: VirtualDevice | null, traces: readonly ArmedTrace[]): Arming {
    const known = new Map((this.byDevice.get(id) ?? []).map((t) => [t.ruleId, t]));
    const kept = new Set(traces.map((t) => t.ruleId));
    const gone = [...known.keys()].filter((rule) => !kept.has(rule));
    for (const rule of gone) this.exhausted.delete(rule);
    if (traces.length > 0) this.byDevice.set(id, traces);
    else this.byDevice.delete(id);
    if (device === null) return { fresh: [], gone };
    // An enabling whose condition or limit was changed could match flows that it could not match before.
    const fresh = traces.filter((t) => !asksTheSame(known.get(t.ruleId), t));
    for (const t of fresh) this.exhausted.delete(t.ruleId);
    const same = traces.length === known.size && traces.every((t) => isTheSame(known.get(t.ruleId), t));
    device.traces = same ? (previous?.traces ?? null) : this.index(traces);
    return { fresh: previous === null ? [] : fresh, gone };
  }

  private index(traces: readonly ArmedTrace[]): TraceIndex | null {
    const live = traces.filter((t) => !this.exhausted.has(t.ruleId));
    return live.length === 0 ? null : new TraceIndex(live);
  }
}

function asksTheSame(a: ArmedTrace | undefined, b: ArmedTrace): boolean {
  return a !== undefined && a.limit === b.limit && sameCondition(a.condition.source, b.condition.source);
}

function isTheSame(a: ArmedTrace | undefined, b: ArmedTrace): boolean {
  return a !== undefined && a.chainId === b.chainId && asksTheSame(a, b);
}
