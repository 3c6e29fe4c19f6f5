import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BridgeId, ChainId, PortId, RouterId, TraceRequestId } from "#core/base";
import { buildArpRequest } from "#core/packets";
import type { DeviceType } from "#core/topology";
import { type Cluster, type ClusterPlan, hostId, ip, routedPlan, vmPlan } from "../support/cluster.ts";
import {
  assertComplete,
  assertDropped,
  ingressOf,
  onCluster,
  onlyIngress,
  portNamed,
  rawFrame,
  stepsOf,
  udpFrom,
} from "../support/cluster-kit.ts";

const RED_2 = { mac: 0x020000000002, ip: "10.1.0.2" };
const PORT = 50_000;

/** Bridges of two tenants with one infilter, and with the same addresses on both. */
function sharedPlan(): ClusterPlan {
  const bridge = (tenant: string) => ({
    name: `net-${tenant}`,
    tenant,
    ports: [1, 2].map((n) => ({ name: `${tenant}-${n}`, bind: { host: `h${n}`, interface: `tap-${tenant}-${n}` } })),
  });
  const vm = (tenant: string, n: number) =>
    vmPlan(`${tenant}-${n}`, `h${n}`, `02:00:00:00:00:0${n}`, `10.1.0.${n}`, null);
  return {
    hosts: { h1: "192.0.2.1", h2: "192.0.2.2" },
    topology: { bridges: [bridge("red"), bridge("blue")] },
    vms: [vm("red", 1), vm("red", 2), vm("blue", 1), vm("blue", 2)],
  };
}

interface Shared {
  readonly red: BridgeId;
  readonly blue: BridgeId;
  readonly chain: ChainId;
  readonly jumped: ChainId;
}

/** Both bridges get the same infilter, which jumps to a second chain. */
async function share(c: Cluster): Promise<Shared> {
  const [red, blue] = await Promise.all(
    ["net-red", "net-blue"].map((name) => c.deviceNamed("bridges", name) as Promise<BridgeId>),
  );
  const chain = (await c.admin.chains.create({ name: "shared" })).id;
  const jumped = (await c.admin.chains.create({ name: "jumped" })).id;
  await c.admin.rules.create(chain, { type: "jump", jumpChainId: jumped, condition: {}, meterName: null });
  for (const id of [red, blue]) await c.admin.bridges.update(id as BridgeId, { inboundFilterId: chain });
  await c.settle();
  for (const tenant of ["red", "blue"]) {
    const [answer] = await c.during(c.vm(`${tenant}-1`).ping(ip("10.1.0.2"), { id: 1 }));
    assert.equal(answer?.kind, "reply");
  }
  return { red: red as BridgeId, blue: blue as BridgeId, chain, jumped };
}

/** A datagram in each tenant's network, equal byte for byte. */
async function both(c: Cluster, sport: number): Promise<void> {
  for (const vm of ["red-1", "blue-1"]) c.inject(vm, udpFrom(c, vm, RED_2, { sport, dport: PORT }));
  await c.settle(100);
}

const owners = (c: Cluster): string[] => [...new Set(c.segments.flatMap((s) => s.steps.map((x) => x.owner)))].sort();

async function isEnabled(c: Cluster, id: TraceRequestId): Promise<boolean> {
  return (await c.admin.traces.get(id)).enabledRule !== null;
}

describe("two devices of two tenants that share an infilter", () => {
  it("a trace on one never fires for the other", () =>
    onCluster(sharedPlan(), async (c) => {
      const { red, blue } = await share(c);
      const onRed = await c.trace("BRIDGE", red, {});
      for (let i = 0; i < 10; i++) await both(c, 100 + i);
      assert.deepEqual(owners(c), ["red"]);
      assert.equal(ingressOf(c).length, 10);
      assertComplete(c.flowTraces());
      await c.admin.traces.disable(onRed);
      c.segments.length = 0;
      const onBlue = await c.trace("BRIDGE", blue, {});
      for (let i = 0; i < 10; i++) await both(c, 200 + i);
      assert.deepEqual(owners(c), ["blue"]);
      assert.ok(ingressOf(c).every((s) => s.requestIds.length === 1 && s.requestIds[0] === onBlue));
    }));

  it("each sees only its own when both trace", () =>
    onCluster(sharedPlan(), async (c) => {
      const { red, blue } = await share(c);
      const onRed = await c.trace("BRIDGE", red, {});
      const onBlue = await c.trace("BRIDGE", blue, {});
      for (let i = 0; i < 10; i++) await both(c, 100 + i);
      assert.equal(ingressOf(c).length, 20);
      for (const s of c.segments) {
        const owner = s.requestIds[0] === onRed ? "red" : "blue";
        assert.deepEqual(s.requestIds, [owner === "red" ? onRed : onBlue]);
        assert.deepEqual([...new Set(s.steps.map((x) => x.owner))], [owner], `${s.role} on ${s.hostName}`);
      }
      assertComplete(c.flowTraces());
    }));

  it("a chain that is jumped to from a device's infilter traces nothing for that device", () =>
    onCluster(sharedPlan(), async (c) => {
      const { blue, jumped } = await share(c);
      // The chain that red jumps to is blue's own infilter.
      await c.admin.bridges.update(blue, { inboundFilterId: jumped });
      await c.settle();
      await c.trace("BRIDGE", blue, {});
      for (let i = 0; i < 5; i++) await both(c, 100 + i);
      assert.deepEqual(owners(c), ["blue"]);
      assert.equal(ingressOf(c).length, 5);
    }));

  it("disabling leaves the shared chain as it was, and the other tenant's trace at work", () =>
    onCluster(sharedPlan(), async (c) => {
      const { red, blue, chain } = await share(c);
      const before = (await c.admin.rules.list(chain)).map((r) => r.id);
      const onRed = await c.trace("BRIDGE", red, {});
      await c.trace("BRIDGE", blue, {});
      await c.admin.traces.disable(onRed);
      await c.settle();
      await both(c, 100);
      assert.deepEqual(owners(c), ["blue"]);
      const now = (await c.admin.rules.list(chain)).filter((r) => r.type !== "trace").map((r) => r.id);
      assert.deepEqual(now, before);
    }));
});

describe("rules around the trace rule", () => {
  it("a rule inserted at position 1 after enabling (drop) does not hide packets", () =>
    onCluster(sharedPlan(), async (c) => {
      const { red, chain } = await share(c);
      const id = await c.trace("BRIDGE", red, { nwProto: 17 });
      const dropAll = { type: "drop", condition: { nwProto: 17 }, meterName: null } as const;
      const rule = await c.admin.rules.create(chain, dropAll, 1);
      await c.settle();
      await both(c, 100);
      const dropped = onlyIngress(c);
      assert.deepEqual(dropped.requestIds, [id]);
      assertDropped(dropped, "filter-drop");
      const tried = stepsOf(dropped, "rule");
      assert.deepEqual(
        tried.map((r) => [r.ruleId, r.matched]),
        [[rule.id, true]],
      );
    }));

  it("an accept rule ahead of it does not hide packets either, and an edit shows in the next trace", () =>
    onCluster(sharedPlan(), async (c) => {
      const { red, chain } = await share(c);
      await c.trace("BRIDGE", red, { nwProto: 17 });
      const accept = { type: "accept", condition: { nwProto: 17 }, meterName: null } as const;
      await c.admin.rules.create(chain, accept, 1);
      await c.settle();
      await both(c, 100);
      assert.equal(onlyIngress(c).verdict, "delivered");
      assert.equal(stepsOf(onlyIngress(c), "chain-end")[0]?.result, "accept");
    }));

  it("an infilter changed while enabled takes the trace along, and its rule is named by the new chain", () =>
    onCluster(sharedPlan(), async (c) => {
      const { red } = await share(c);
      const id = await c.trace("BRIDGE", red, { nwProto: 17 });
      const other = (await c.admin.chains.create({ name: "other" })).id;
      await c.admin.bridges.update(red, { inboundFilterId: other });
      await c.settle();
      await both(c, 100);
      assert.deepEqual(
        stepsOf(onlyIngress(c), "trace-matched").map((s) => s.chainId),
        [other],
      );
      await c.admin.bridges.update(red, { inboundFilterId: null });
      await c.settle();
      await both(c, 101);
      assert.equal(ingressOf(c).length, 2);
      assert.ok(await isEnabled(c, id));
      assert.deepEqual(owners(c), ["red"]);
    }));

  it("a chain deleted while enabled ends the trace: the request is disabled, and nothing is traced", () =>
    onCluster(sharedPlan(), async (c) => {
      const { red, chain } = await share(c);
      const id = await c.trace("BRIDGE", red, {});
      await both(c, 100);
      await c.admin.chains.delete(chain);
      await c.settle();
      assert.equal(await isEnabled(c, id), false);
      c.segments.length = 0;
      await both(c, 101);
      assert.equal(c.segments.length, 0);
      await c.admin.traces.enable(id);
      await c.settle();
      await both(c, 102);
      assert.equal(ingressOf(c).length, 1);
      await c.admin.traces.delete(id);
      assert.equal((await c.admin.bridges.get(red)).inboundFilterId, null);
    }));

  it("a trace rule deleted by a user disables its request", () =>
    onCluster(sharedPlan(), async (c) => {
      const { red } = await share(c);
      const id = await c.trace("BRIDGE", red, {});
      await c.admin.rules.delete((await c.admin.traces.get(id)).enabledRule as never);
      await c.settle();
      assert.equal(await isEnabled(c, id), false);
      await both(c, 100);
      assert.equal(c.segments.length, 0);
      await c.admin.traces.delete(id);
    }));

  it("three requests on one device without filter are disabled and deleted in any order, and nothing is left behind", () =>
    onCluster(sharedPlan(), async (c) => {
      const red = (await c.deviceNamed("bridges", "net-red")) as BridgeId;
      const orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
      ];
      for (const [round, order] of orders.entries()) {
        const ids: TraceRequestId[] = [];
        for (let i = 0; i < 3; i++) ids.push(await c.trace("BRIDGE", red, { nwProto: 17 }));
        for (const [n, i] of order.entries()) {
          const id = ids[i] as TraceRequestId;
          if (round % 2 === 0) await c.admin.traces.disable(id);
          await c.admin.traces.delete(id);
          await c.settle();
          c.segments.length = 0;
          await both(c, 1000 + 10 * round + n);
          assert.equal(ingressOf(c).length, n < 2 ? 1 : 0);
          assert.equal(ingressOf(c)[0]?.requestIds.length ?? 0, 2 - n);
        }
        assert.equal((await c.admin.bridges.get(red)).inboundFilterId, null);
        assert.deepEqual(await c.admin.chains.list(), []);
      }
    }));

  it("a device with two enabled requests can be deleted, and the requests go with it", () =>
    onCluster(routedPlan(), async (c) => {
      const web = (await c.deviceNamed("bridges", "web")) as BridgeId;
      await c.trace("BRIDGE", web, {});
      await c.trace("BRIDGE", web, { nwProto: 17 });
      await c.trace("PORT", (await portNamed(c, "red-1")).id, {});
      await c.admin.bridges.delete(web);
      await c.settle(200);
      assert.deepEqual(await c.admin.traces.list(), []);
      assert.deepEqual(await c.admin.chains.list(), []);
    }));
});

describe("every frame that enters the device is seen", () => {
  const GATEWAY = { mac: 0xaccaba000001, ip: "10.0.2.20" };
  const MAC_1 = 0x020000000001;

  /** A trace on a device of the routed plan, after everything is loaded. */
  const traced = (type: DeviceType, name: string, work: (c: Cluster, id: string) => Promise<void>): Promise<void> =>
    onCluster(routedPlan(), async (c) => {
      await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 1 }));
      const kind = ({ BRIDGE: "bridges", ROUTER: "routers", PORT: "ports" } as const)[type];
      const device = await c.deviceNamed(kind, name);
      await c.trace(type, device, {});
      await work(c, device);
    });

  it("VLAN-tagged frames at a bridge are traced, though its filters do not apply to them", () =>
    traced("BRIDGE", "web", async (c, web) => {
      const chain = await c.admin.chains.create({ name: "drop-all" });
      await c.admin.rules.create(chain.id, { type: "drop", condition: {}, meterName: null });
      await c.admin.bridges.update(web as BridgeId, { inboundFilterId: chain.id });
      await c.settle();
      const to = { mac: 0x020000000003, ip: "10.0.1.30" };
      c.inject("red-1", udpFrom(c, "red-1", to, { sport: 1, dport: PORT, vlans: [100] }));
      await c.settle(100);
      const segment = onlyIngress(c, "h1");
      assert.equal(stepsOf(segment, "packet-received")[0]?.header.vlan, 100);
      assert.match(stepsOf(segment, "filter-skipped")[0]?.because ?? "", /VLAN/);
      assert.equal(segment.verdict, "delivered");
      assert.deepEqual(
        segment.expects.map((e) => e.hostName),
        ["h3"],
        "VLAN 100 knows no MAC yet: flooded to the one other port",
      );
      assertComplete(c.flowTraces());
    }));

  it("a request on a port fires, also with inPorts naming that port", () =>
    onCluster(routedPlan(), async (c) => {
      await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 1 }));
      const port = await portNamed(c, "red-1");
      const other = await portNamed(c, "red-3");
      const id = await c.trace("PORT", port.id, { inPorts: [port.id] });
      await c.trace("PORT", port.id, { inPorts: [other.id] });
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: PORT }));
      await c.settle(100);
      assert.deepEqual(onlyIngress(c, "h1").requestIds, [id]);
    }));

  it("a port that is administratively down", () =>
    traced("PORT", "red-1", async (c, port) => {
      await c.admin.ports.update(port as PortId, { adminStateUp: false });
      await c.settle();
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: PORT }));
      await c.settle(100);
      assertDropped(onlyIngress(c), "port-admin-down");
    }));

  it("a bridge that is administratively down", () =>
    traced("BRIDGE", "web", async (c, web) => {
      await c.admin.bridges.update(web as BridgeId, { adminStateUp: false });
      await c.settle();
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: PORT }));
      await c.settle(100);
      assertDropped(onlyIngress(c), "bridge-admin-down");
    }));

  it("a router that is administratively down, which tells the sender", () =>
    traced("ROUTER", "router", async (c, router) => {
      await c.admin.routers.update(router as RouterId, { adminStateUp: false });
      await c.settle();
      const answer = await c.during(c.vm("red-1").udp(ip("10.0.2.20"), 7, new Uint8Array(1)));
      assert.deepEqual(
        [answer.kind, answer.kind === "icmp-error" ? [answer.type, answer.code] : null],
        ["icmp-error", [3, 13]],
      );
      assertDropped(onlyIngress(c), "router-admin-down");
      assert.equal(stepsOf(onlyIngress(c), "answer")[0]?.what, "icmp-error");
    }));

  it("a multicast source address at a bridge", () =>
    traced("BRIDGE", "web", async (c) => {
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: PORT, ethSrc: 0x01005e000001 }));
      await c.settle(100);
      assertDropped(onlyIngress(c), "multicast-source");
    }));

  it("a MAC that is not the router port's", () =>
    onCluster(routedPlan(), async (c) => {
      // A router port bound to a host, so that a frame can reach it with any MAC.
      const router = (await c.deviceNamed("routers", "router")) as RouterId;
      const outside = { name: "outside", portAddress: "10.0.9.1", networkLength: 24 };
      const created = await c.admin.ports.createOnRouter(router, outside);
      await c.admin.ports.bind({ portId: created.id, hostId: hostId(1), interfaceName: "tap-out" });
      c.plug(vmPlan("out", "h1", "02:00:00:00:00:77", "10.0.9.9", "10.0.9.1"));
      await c.settle(200);
      await c.trace("ROUTER", router, { nwProto: 17 });
      c.inject("out", udpFrom(c, "out", { mac: 0x020000000055, ip: "10.0.2.20" }, { sport: 1, dport: PORT }));
      await c.settle(100);
      assertDropped(onlyIngress(c), "router-foreign-mac");
    }));

  it("ARP to a router, and the answer that the router makes", () =>
    traced("ROUTER", "router", async (c) => {
      const { mac, ip: own } = c.vm("red-1").config;
      c.inject("red-1", buildArpRequest({ senderMac: mac, senderIp: own, targetIp: ip("10.0.1.1") }));
      await c.settle(100);
      const segment = onlyIngress(c);
      assert.equal(segment.verdict, "consumed");
      assert.equal(stepsOf(segment, "answer")[0]?.what, "arp-reply");
    }));

  it("a frame of no protocol that anybody knows", () =>
    traced("BRIDGE", "web", async (c) => {
      c.inject("red-1", rawFrame(0x020000000003, MAC_1, 0x88b5));
      await c.settle(100);
      const segment = onlyIngress(c, "h1");
      assert.equal(segment.key.networkSrc, null);
      assertComplete(c.flowTraces());
    }));
});
