import { Fabric, type FabricOptions, type FabricSwitch } from "#adapters/datapath-fabric";
import type { DatapathRig, RigHost, RigVm } from "./datapath-rig.ts";
import { VirtualTime } from "./virtual-time.ts";

export const IP_A = 0xc0a8_0a01;
export const IP_B = 0xc0a8_0a02;

export interface FabricRig extends DatapathRig {
  readonly time: VirtualTime;
  readonly fabric: Fabric;
}

/** Two hosts of a fabric under a virtual clock. */
export async function fabricRig(options: Partial<FabricOptions> = {}): Promise<FabricRig> {
  const time = new VirtualTime();
  const fabric = new Fabric({ clock: time, scheduler: time, ...options });
  return {
    time,
    fabric,
    a: rigHost(fabric.addHost("a", IP_A)),
    b: rigHost(fabric.addHost("b", IP_B)),
    eventually: async (what, probe, deadlineMs = 5000) => {
      if (!(await time.runUntil(() => probe() !== null, deadlineMs))) throw new Error(`never seen: ${what}`);
      const seen = probe();
      if (seen === null) throw new Error(`seen, and gone again: ${what}`);
      return seen;
    },
    quiet: () => time.advance(100),
    close: () => fabric.stop(),
  };
}

function rigHost(datapath: FabricSwitch): RigHost {
  return {
    datapath,
    tunnelIp: datapath.tunnelIp,
    attachVm: async (name): Promise<RigVm> => {
      const received: Uint8Array[] = [];
      const port = datapath.attachVm(name, { receive: (frame) => received.push(frame) });
      return { name, received, send: (frame) => port.send(frame), detach: async () => port.detach() };
    },
  };
}
