import { Vm, type VmConfig, type Wire } from "#apps/lab";
import { parseIpv4, parseMac } from "#core/packets";
import { VirtualTime } from "../../support/virtual-time.ts";

export function ip(text: string): VmConfig["ip"] {
  const value = parseIpv4(text);
  if (value === null) throw new Error(text);
  return value;
}

export function vmConfig(name: string, mac: string, address: string, extra: Partial<VmConfig> = {}): VmConfig {
  const value = parseMac(mac);
  if (value === null) throw new Error(mac);
  return { name, mac: value, ip: ip(address), prefixLength: 24, gateway: null, ...extra };
}

export interface Pair {
  readonly time: VirtualTime;
  readonly a: Vm;
  readonly b: Vm;
  /** Every frame, in order, with who sent it. */
  readonly frames: { readonly from: "a" | "b"; readonly bytes: Uint8Array }[];
  /** Frames for which this returns true are lost. */
  lose: (from: "a" | "b", bytes: Uint8Array) => boolean;
}

/** Two VMs on one cable of 1 ms. */
export function pair(options: { a?: Partial<VmConfig>; b?: Partial<VmConfig> } = {}): Pair {
  const time = new VirtualTime();
  const a = new Vm(vmConfig("a", "02:00:00:00:00:0a", "10.0.0.1", options.a), time, time);
  const b = new Vm(vmConfig("b", "02:00:00:00:00:0b", "10.0.0.2", options.b), time, time);
  const made: Pair = { time, a, b, frames: [], lose: () => false };
  const cable = (from: "a" | "b", to: Vm): Wire => ({
    send: (bytes) => {
      made.frames.push({ from, bytes });
      if (!made.lose(from, bytes)) time.after(1, () => to.receive(bytes));
    },
  });
  a.attach(cable("a", b));
  b.attach(cable("b", a));
  return made;
}

/** The answer of what was begun, once virtual time has run. */
export async function settled<T>(time: VirtualTime, begun: Promise<T>): Promise<T> {
  await time.runUntilIdle();
  return begun;
}
