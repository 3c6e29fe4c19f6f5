import { MidotraceError } from "#core/base";
import type { DatapathPort } from "#core/datapath";

export const TUNNEL_OFPORT = 100;
export const TUNNEL_NAME = "vxlan0";

/** What stands behind a VM port. */
export interface VmReceiver {
  /** One frame for the VM. It may be kept but not written to: other receivers may hold the same bytes. */
  receive(frame: Uint8Array): void;
}

/** A port of the switch; `state` is replaced, never changed. */
export class SwitchPort {
  state: DatapathPort;
  /** Null for the tunnel port. */
  readonly receiver: VmReceiver | null;
  attached = true;

  constructor(state: DatapathPort, receiver: VmReceiver | null) {
    this.state = state;
    this.receiver = receiver;
  }
}

/** The ports of one switch. Numbers start at 1 and are not used again, so that a name comes back under another one. */
export class PortTable {
  private readonly byName = new Map<string, SwitchPort>();
  private readonly byNumber = new Map<number, SwitchPort>();
  private nextNumber = 1;

  constructor() {
    this.put(new SwitchPort({ ofport: TUNNEL_OFPORT, name: TUNNEL_NAME, kind: "tunnel", up: true }, null));
  }

  /** @throws MidotraceError ALREADY_EXISTS when a port of that name is there. */
  add(name: string, receiver: VmReceiver): SwitchPort {
    if (this.byName.has(name)) throw new MidotraceError("ALREADY_EXISTS", `port ${name} is attached already`);
    if (this.nextNumber === TUNNEL_OFPORT) this.nextNumber++;
    return this.put(new SwitchPort({ ofport: this.nextNumber++, name, kind: "vm", up: true }, receiver));
  }

  remove(port: SwitchPort): void {
    port.attached = false;
    this.byName.delete(port.state.name);
    this.byNumber.delete(port.state.ofport);
  }

  get(ofport: number): SwitchPort | undefined {
    return this.byNumber.get(ofport);
  }

  named(name: string): SwitchPort | undefined {
    return this.byName.get(name);
  }

  /** By number. */
  list(): DatapathPort[] {
    return [...this.byNumber.values()].map((p) => p.state).sort((a, b) => a.ofport - b.ofport);
  }

  private put(port: SwitchPort): SwitchPort {
    this.byName.set(port.state.name, port);
    this.byNumber.set(port.state.ofport, port);
    return port;
  }
}
