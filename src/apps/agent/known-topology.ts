import type { ChainId, RuleId } from "#core/base";
import type { FlowTag } from "#core/flows";
import { type ArmedTrace, type CompiledChain, effectiveEmptiness, type VirtualDevice } from "#core/topology";
import { ArmedTraces } from "./armed-traces.ts";
import { type KnownObject, KnownObjects, type ObjectKind } from "./known-objects.ts";
import type { Loaded } from "./topology-reader.ts";

export interface Exchanged {
  readonly kind: ObjectKind;
  readonly id: string;
  /** As it was known until now; undefined: it was not. */
  readonly was: KnownObject | null | undefined;
  readonly loaded: Loaded<KnownObject>;
}

/** What an exchange means for what is installed and recorded. */
export interface Consequences {
  /** Of flows that are stale. */
  readonly tags: readonly FlowTag[];
  /** Devices that were known, with traces that are new to them. */
  readonly armed: readonly { readonly device: VirtualDevice; readonly traces: readonly ArmedTrace[] }[];
  /** Trace rules that are there no more. */
  readonly gone: readonly RuleId[];
}

/** The objects that the simulation reads, with the traces that are armed on them; all that was read is exchanged at one moment. */
export class KnownTopology {
  readonly objects = new KnownObjects();
  readonly armed = new ArmedTraces();

  exchange(list: readonly Exchanged[]): Consequences {
    const toArm = this.touched(list);
    for (const { kind, id, loaded } of list) this.objects.put(kind, id, loaded.object);
    const armed: { device: VirtualDevice; traces: readonly ArmedTrace[] }[] = [];
    const gone: RuleId[] = [];
    for (const [id, previous] of toArm) {
      const device = this.objects.device(id);
      const arming = this.armed.arm(id, device, previous);
      gone.push(...arming.gone);
      // Through a device that was not known there are no flows.
      if (device !== null && previous !== null && arming.fresh.length > 0) armed.push({ device, traces: arming.fresh });
    }
    return { tags: this.staleTags(list), armed, gone };
  }

  /**
   * Takes note of the traces in the chains. @returns the devices that are to be armed anew, each as it is until now: those
   * that were read, and those that have or had traces in these chains.
   */
  private touched(list: readonly Exchanged[]): Map<string, VirtualDevice | null> {
    const devices = new Map<string, VirtualDevice | null>();
    for (const { kind, id, loaded } of list) {
      if (kind === "group") continue;
      const touched = kind === "chain" ? this.armed.read(id as ChainId, loaded.traces) : [id];
      for (const device of touched) devices.set(device, this.objects.device(device));
    }
    return devices;
  }

  /** To be asked when the new objects are there. */
  private staleTags(list: readonly Exchanged[]): FlowTag[] {
    const { chains } = this.objects;
    const before = new Map<string, CompiledChain | null | undefined>();
    for (const { kind, id, was } of list) if (kind === "chain") before.set(id, was as CompiledChain | null | undefined);
    const emptyBefore = effectiveEmptiness((id) => (before.has(id) ? before.get(id) : chains.get(id)));
    const emptyAfter = effectiveEmptiness((id) => chains.get(id));
    const tags = new Set<FlowTag>();
    for (const { kind, id, was, loaded } of list) {
      if (was === undefined || was === loaded.object) continue;
      for (const tag of this.objects.diff(kind, id, was, emptyBefore, emptyAfter)) tags.add(tag);
    }
    return [...tags];
  }
}
