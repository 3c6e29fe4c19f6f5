import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OvsDatapath, OvsSwitchConfig } from "#adapters/datapath-ovs";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import type { Testbed } from "#adapters/testbed";
import { parseIpv4 } from "#core/packets";
import type { DatapathRig, RigFactory, RigHost, RigVm } from "./datapath-rig.ts";
import { type OvsTestHost, ovsTestbed } from "./ovs-testbed.ts";

export { ovsMissing, skipWithoutOvs } from "./ovs-testbed.ts";

const BRIDGE = "br-int";
const PROBE_MS = 2;

/** A cable of a host that outlives its test: the next one that wants a VM of this name gets it. */
interface Cable {
  readonly name: string;
  readonly id: number;
  receive: (frame: Uint8Array) => void;
}

/** A host of this process, used by one rig after the other. */
class SharedHost {
  readonly inside: OvsTestHost;
  private readonly cables = new Map<string, Cable>();

  constructor(inside: OvsTestHost) {
    this.inside = inside;
  }

  async plug(name: string): Promise<Cable> {
    const known = this.cables.get(name);
    if (known !== undefined) return known;
    await this.inside.addDevice(name);
    let cable: Cable | null = null;
    const id = await this.inside.frames.open(`${name}p`, (frame) => cable?.receive(frame));
    cable = { name, id, receive: () => undefined };
    this.cables.set(name, cable);
    return cable;
  }

  async unplug(cable: Cable): Promise<void> {
    this.cables.delete(cable.name);
    this.inside.frames.close(cable.id);
    await this.inside.removeDevice(cable.name);
  }

  /** No flow and no VM is left of the test before; ports that the next one will ask for again stay. */
  async reset(used: readonly string[]): Promise<void> {
    for (const cable of this.cables.values()) cable.receive = () => undefined;
    for (const [name, cable] of this.cables) if (!used.includes(name)) await this.unplug(cable);
    await this.inside.host.daemons.ofctl("del-flows", BRIDGE);
  }

  /** Everything that the switch was told is in force, and everything it sent has been handed on. */
  async settle(): Promise<void> {
    const { daemons } = this.inside.host;
    // Each answer shows a full pass of the daemon's main loop, which takes OpenFlow messages.
    await daemons.appctl(["version"]);
    await daemons.appctl(["version"]);
    await this.inside.frames.sync();
  }
}

interface Shared {
  readonly testbed: Testbed;
  readonly a: SharedHost;
  readonly b: SharedHost;
}

let shared: Promise<Shared> | null = null;

async function makeShared(): Promise<Shared> {
  const { testbed, a, b } = await ovsTestbed();
  return { testbed, a: new SharedHost(a), b: new SharedHost(b) };
}

after(async () => {
  if (shared === null) return;
  const { testbed } = await shared;
  shared = null;
  await testbed.close();
});

class OvsRigHost implements RigHost {
  readonly datapath: OvsDatapath;
  readonly tunnelIp: number;
  private readonly shared: SharedHost;
  private readonly names: string[] = [];

  constructor(shared: SharedHost, peer: SharedHost) {
    this.shared = shared;
    const { host } = shared.inside;
    this.tunnelIp = parseIpv4(host.tunnelIp) ?? 0;
    const log = (): void => undefined;
    const base = { clock: systemClock, scheduler: systemScheduler, log };
    const config = new OvsSwitchConfig({
      ...base,
      runDir: host.runDir,
      bridge: BRIDGE,
      tunnelIp: this.tunnelIp,
      datapath: "auto",
      network: shared.inside.network(),
    });
    this.datapath = new OvsDatapath({ ...base, config, random: systemRandom });
    this.datapath.setPeers([parseIpv4(peer.inside.host.tunnelIp) ?? 0]);
  }

  async attachVm(name: string): Promise<RigVm> {
    const cable = await this.shared.plug(name);
    const received: Uint8Array[] = [];
    cable.receive = (frame) => received.push(frame);
    this.names.push(name);
    this.datapath.bindInterfaces(this.names);
    return {
      name,
      received,
      send: (frame) => this.shared.inside.frames.send(cable.id, frame),
      // The binding stays, as it does when a VM is stopped.
      detach: () => this.shared.unplug(cable),
    };
  }
}

/** Two hosts with a real Open vSwitch each, in namespaces of their own; made once per process. */
export const ovsRig: RigFactory = async (): Promise<DatapathRig> => {
  shared ??= makeShared();
  const hosts = await shared;
  const a = new OvsRigHost(hosts.a, hosts.b);
  const b = new OvsRigHost(hosts.b, hosts.a);
  const both = <T>(act: (host: SharedHost) => Promise<T>): Promise<T[]> => Promise.all([hosts.a, hosts.b].map(act));
  return {
    a,
    b,
    eventually: async (what, probe, deadlineMs = 5000) => {
      const end = performance.now() + deadlineMs;
      for (;;) {
        const seen = probe();
        if (seen !== null) return seen;
        if (performance.now() > end) throw new Error(`never seen: ${what}`);
        await sleep(PROBE_MS);
      }
    },
    quiet: async () => {
      // Flow changes may wait a moment for company before they are sent.
      await sleep(40);
      await both((host) => host.settle());
      // Its caches follow the tables within milliseconds.
      await sleep(40);
      await both((host) => host.inside.frames.sync());
    },
    close: async () => {
      await Promise.all([a.datapath.stop(), b.datapath.stop()]);
      await hosts.a.reset(["a1", "a2"]);
      await hosts.b.reset(["b1", "b2"]);
    },
  };
};
