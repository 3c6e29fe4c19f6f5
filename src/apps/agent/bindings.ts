import type { HostId, PortId } from "#core/base";
import type { DatapathPort } from "#core/datapath";
import { bindingTag, type FlowTag, ofportTag, TUNNEL_PORT_TAG } from "#core/flows";

/** Which virtual port stands behind which interface of this host, and the switch's number for it. */
export class Bindings {
  private readonly ports = new Map<string, DatapathPort>();
  private readonly portOfInterface = new Map<string, PortId>();
  private readonly interfaceOfPort = new Map<PortId, string>();
  private readonly nameOfOfport = new Map<number, string>();
  tunnelOfport: number | null = null;
  readonly hostId: HostId;

  constructor(hostId: HostId) {
    this.hostId = hostId;
  }

  /** The virtual port whose packets come in by `ofport`, or null. */
  portOf(ofport: number): PortId | null {
    const name = this.nameOfOfport.get(ofport);
    return name === undefined ? null : (this.portOfInterface.get(name) ?? null);
  }

  interfaceAt(ofport: number): string {
    return this.nameOfOfport.get(ofport) ?? `ofport ${ofport}`;
  }

  ofportOf(port: PortId): number | null {
    const name = this.interfaceOfPort.get(port);
    const there = name === undefined ? undefined : this.ports.get(name);
    return there === undefined || !there.up ? null : there.ofport;
  }

  /** Virtual ports bound to an interface of this host. */
  bound(): readonly PortId[] {
    return [...this.interfaceOfPort.keys()];
  }

  /** The virtual port is bound to an interface of this host, be that there or not. */
  isBound(port: PortId): boolean {
    return this.interfaceOfPort.has(port);
  }

  /** The switch's port changed; returns the tags of flows that relied on how it was, or that it was not there. */
  datapathPort(name: string, port: DatapathPort | null): FlowTag[] {
    const old = this.ports.get(name);
    const tags: FlowTag[] = [];
    const behind = this.portOfInterface.get(name);
    if (behind !== undefined) tags.push(bindingTag(behind));
    if (old?.kind === "tunnel" || port?.kind === "tunnel") tags.push(TUNNEL_PORT_TAG);
    if (old !== undefined) {
      tags.push(ofportTag(old.ofport));
      // Another port may have taken the number already.
      if (this.nameOfOfport.get(old.ofport) === name) this.nameOfOfport.delete(old.ofport);
      if (old.kind === "tunnel") this.tunnelOfport = null;
    }
    if (port === null) {
      this.ports.delete(name);
      return tags;
    }
    this.ports.set(name, port);
    this.nameOfOfport.set(port.ofport, name);
    if (port.kind === "tunnel") this.tunnelOfport = port.up ? port.ofport : null;
    tags.push(ofportTag(port.ofport));
    return tags;
  }

  /** The whole set of bindings as the store has it now; returns the tags of what changed. */
  replace(bindings: ReadonlyMap<string, PortId>): FlowTag[] {
    const tags: FlowTag[] = [];
    const names = new Set([...bindings.keys(), ...this.portOfInterface.keys()]);
    for (const name of names) {
      const [before, after] = [this.portOfInterface.get(name), bindings.get(name)];
      if (before === after) continue;
      if (before !== undefined) tags.push(bindingTag(before));
      if (after !== undefined) tags.push(bindingTag(after));
      const there = this.ports.get(name);
      if (there !== undefined) tags.push(ofportTag(there.ofport));
    }
    this.portOfInterface.clear();
    this.interfaceOfPort.clear();
    for (const [name, port] of bindings) {
      this.portOfInterface.set(name, port);
      this.interfaceOfPort.set(port, name);
    }
    return tags;
  }

  /** Bound ports whose interface is up. */
  active(): ReadonlySet<PortId> {
    const up = new Set<PortId>();
    for (const [port, name] of this.interfaceOfPort) if (this.ports.get(name)?.up === true) up.add(port);
    return up;
  }
}
