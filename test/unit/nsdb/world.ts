import type { HostId } from "#core/base";
import type { Nsdb } from "#core/nsdb";
import { accept, bridge, chain, host, router, trace } from "./rig.ts";

/** One of everything that hangs on something else. */
export async function world(n: Nsdb) {
  const [filter, target] = [await chain(n, "filter"), await chain(n, "target")];
  await accept(n, filter.id);
  const jump = await n.rules.create(filter.id, {
    type: "jump",
    jumpChainId: target.id,
    condition: {},
    meterName: null,
  });
  const b = await bridge(n, { inboundFilterId: filter.id, outboundFilterId: target.id });
  const r = await router(n, { inboundFilterId: target.id });
  const [vm, up] = [await n.ports.createOnBridge(b.id, {}), await n.ports.createOnBridge(b.id, {})];
  const down = await n.ports.createOnRouter(r.id, { portAddress: "10.0.0.1", networkLength: 24 });
  await n.ports.link(up.id, down.id);
  const h: HostId = await host(n);
  await n.ports.bind({ portId: vm.id, hostId: h, interfaceName: "e" });
  await n.state.setPortActive(vm.id, h);
  const route = await n.routes.create(r.id, {
    type: "Normal",
    srcNetworkAddr: "0.0.0.0",
    srcNetworkLength: 0,
    dstNetworkAddr: "10.0.0.0",
    dstNetworkLength: 24,
    nextHopPort: down.id,
    nextHopGateway: null,
    weight: 1,
  });
  const group = await n.portGroups.create({ name: "g" });
  for (const p of [vm, down]) await n.portGroups.addPort(group.id, p.id);
  const rule = await n.rules.create(target.id, { type: "drop", condition: { portGroup: group.id }, meterName: null });
  await n.bridgeTables.setMac(b.id, { mac: "02:00:00:00:00:01", portId: vm.id, vlan: 0 });
  await n.state.putMac(b.id, { mac: "02:00:00:00:00:02", portId: vm.id, vlan: 0 });
  await n.bridgeTables.setArpSeed(b.id, { ip: "10.0.0.9", mac: "02:00:00:00:00:01" });
  const traces = {
    bridge: await trace(n, "BRIDGE", b, { enabled: true }),
    router: await trace(n, "ROUTER", r, { enabled: true }),
    vm: await trace(n, "PORT", vm, { enabled: true }),
    down: await trace(n, "PORT", down),
  };
  return { filter, target, jump, b, r, vm, up, down, h, route, group, rule, traces };
}

export type World = Awaited<ReturnType<typeof world>>;
