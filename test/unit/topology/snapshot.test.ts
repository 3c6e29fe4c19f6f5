import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HostId, PortId, TenantId } from "#core/base";
import { compilePort, emptyRecords, type RuleRecord, TopologySnapshot } from "#core/topology";
import { TopologyBuilder } from "../../support/topology-builder.ts";

function twoHosts(): TopologyBuilder {
  const t = new TopologyBuilder();
  t.bridge("br1", { tenant: "red" }).port("br1/p1", { host: "h1", ifName: "tap1" }).port("br1/p2", { host: "h2" });
  t.router("r1", { tenant: "blue" })
    .routerPort("r1/p1", "10.0.1.1/24", { mac: "ac:ca:ba:00:00:01" })
    .link("br1/up", "r1/p1");
  return t;
}

describe("compiling a topology", () => {
  test("ports know their owner, place and groups", () => {
    const t = twoHosts().portGroup("g", ["br1/p1"]).setActive("br1/p2", false);
    const s = t.snapshot();
    const p1 = s.port(t.portId("br1/p1"));
    assert.deepEqual(
      [p1?.tenantId, p1?.ownerKind, p1?.exterior, p1?.interior, p1?.active, p1?.interfaceName],
      ["red", "bridge", true, false, true, "tap1"],
    );
    assert.deepEqual([...(p1?.groups ?? [])], [t.portGroupId("g")]);
    assert.equal(s.port(t.portId("br1/p2"))?.active, false);
    const router = s.port(t.portId("r1/p1"));
    assert.deepEqual([router?.mac, router?.address, router?.prefixLength], [0xaccaba000001, 0x0a000101, 24]);
    assert.equal(s.portByKey(p1?.tunnelKey ?? 0), p1);
    assert.equal(s.portByBinding(t.hostId("h1"), "tap1"), p1);
    assert.equal(s.portByBinding(t.hostId("h2"), "tap1"), null);
  });

  test("a port is active only on the host it is bound to", () => {
    const t = twoHosts();
    const records = { ...t.records(), activePorts: new Map([[t.portId("br1/p1"), t.hostId("h2")]]) };
    assert.equal(TopologySnapshot.compile(records).port(t.portId("br1/p1"))?.active, false);
  });

  test("bridges know their flood set and linked router ports", () => {
    const t = twoHosts();
    const b = t.snapshot().bridge(t.bridgeId("br1"));
    assert.deepEqual(b?.exteriorPorts, [t.portId("br1/p1"), t.portId("br1/p2")]);
    assert.deepEqual(b?.linkedRouterPorts, [
      { portId: t.portId("br1/up"), routerPortId: t.portId("r1/p1"), mac: 0xaccaba000001, address: 0x0a000101 },
    ]);
    assert.equal(b?.linkedMacs.get(0xaccaba000001), t.portId("br1/up"));
  });

  test("links between bridges: own VLAN is a VLAN port, none an uplink; a peer that is missing leads nowhere", () => {
    const t = new TopologyBuilder()
      .bridge("vab")
      .bridge("vub")
      .port("vab/v10", { vlan: 10 })
      .port("vub/up")
      .port("vab/x");
    t.link("vab/v10", "vub/up").patchPort("vab/x", { peerId: "gone" as PortId });
    const s = t.snapshot();
    assert.deepEqual([...(s.bridge(t.bridgeId("vab"))?.vlanPorts ?? [])], [[10, t.portId("vab/v10")]]);
    assert.deepEqual(s.bridge(t.bridgeId("vab"))?.bridgeUplinks, []);
    assert.deepEqual(s.bridge(t.bridgeId("vub"))?.bridgeUplinks, [t.portId("vub/up")]);
  });

  test("routes by bound ports follow the interface's state; BlackHole and Reject stay; bad prefixes are left out", () => {
    const t = new TopologyBuilder().router("r1").routerPort("r1/p1", "10.0.1.1/24", { host: "h1" });
    t.route("r1", { dst: "10.0.1.0/24", port: "p1" }).route("r1", { dst: "10.9.0.0/16", type: "BlackHole" });
    t.route("r1", { dst: "not.an.address/24", type: "Reject" }).route("r1", { dst: "10.8.0.0/16" });
    const list = (): string[] =>
      t
        .snapshot()
        .router(t.routerId("r1"))
        ?.routeList.map((r): string => r.id) ?? [];
    assert.deepEqual(list(), [t.routeId("r1", 0), t.routeId("r1", 1), t.routeId("r1", 2)]);
    t.setActive("r1/p1", false);
    assert.deepEqual(list(), [t.routeId("r1", 2)]);
  });

  test("routes by a port of another router are left out", () => {
    const t = new TopologyBuilder().router("r1").router("r2").routerPort("r2/p1", "10.0.2.1/24");
    t.route("r1", { dst: "10.0.2.0/24", port: "r2/p1" });
    assert.equal(t.snapshot().router(t.routerId("r1"))?.routes.size, 0);
  });

  test("chains leave trace rules out, and positions do not count them", () => {
    const t = twoHosts().chain("c1", [
      { type: "drop", condition: { nwProto: 6 }, meter: "m" },
      { type: "rev_snat" },
      { type: "jump", to: "c2" },
    ]);
    t.bridge("br1", { inFilter: "c1" }).trace("t1", "br1", { nwProto: 17 });
    const chain = t.snapshot().chain(t.chainId("c1"));
    assert.deepEqual(
      chain?.rules.map((r) => [r.position, r.type, r.action, r.jumpTo, r.meterTag]),
      [
        [1, "drop", "drop", null, "user:m"],
        [2, "rev_snat", "nat", null, null],
        [3, "jump", "jump", t.chainId("c2"), null],
      ],
    );
  });

  test("NAT with ports matches unfragmented packets only, a floating IP all", () => {
    const target = { addressFrom: "10.0.0.1", addressTo: "10.0.0.1", portFrom: 0, portTo: 0 };
    const t = new TopologyBuilder().chain("c", [
      { type: "dnat", targets: [target] },
      { type: "snat", targets: [{ ...target, portTo: 9 }] },
    ]);
    const fragments = t
      .snapshot()
      .chain(t.chainId("c"))
      ?.rules.map((r) => r.condition.fragments);
    assert.deepEqual(fragments, [0b111, 0b001]);
  });

  test("traces are armed on their own device only, also where the chain is shared", () => {
    const t = twoHosts().chain("shared", []);
    t.bridge("br1", { inFilter: "shared" }).router("r1", { inFilter: "shared" });
    t.trace("on-bridge", "br1", {}, { limit: 5n })
      .trace("on-router", "r1")
      .trace("on-port", "br1/p1")
      .trace("off", "br1", {}, { enabled: false });
    const s = t.snapshot();
    const traces = s.bridge(t.bridgeId("br1"))?.traces?.traces ?? [];
    assert.deepEqual(
      traces.map((x) => [x.requestId, x.limit]),
      [[t.traceId("on-bridge"), 5n]],
    );
    assert.deepEqual(
      s.router(t.routerId("r1"))?.traces?.traces.map((x) => x.requestId),
      [t.traceId("on-router")],
    );
    assert.equal(s.port(t.portId("br1/p1"))?.traces?.size, 1);
    assert.equal(s.port(t.portId("br1/p2"))?.traces, null);
  });

  test("address groups keep IPv4 only; what does not exist is null", () => {
    const t = new TopologyBuilder().ipAddrGroup("g", ["10.0.0.1", "fe80::1", "nonsense"]);
    const s = t.snapshot();
    assert.deepEqual([...(s.ipAddrGroup(t.ipAddrGroupId("g")) ?? [])], [0x0a000001]);
    assert.equal(s.ipAddrGroup("none"), null);
    assert.equal(s.port("none" as PortId), null);
    assert.equal(TopologySnapshot.compile(emptyRecords()).chain(t.chainId("x")), null);
  });

  test("tunnel addresses: any zone, or one that both hosts are in", () => {
    const t = twoHosts();
    const s = t.snapshot();
    assert.equal(s.hostTunnelIp(t.hostId("h2")), 0xac100002);
    assert.equal(s.hostTunnelIp(t.hostId("h2"), t.hostId("h1")), 0xac100002);
    assert.equal(s.hostTunnelIp(t.hostId("h2"), "elsewhere" as HostId), null);
    assert.equal(s.hostTunnelIp("elsewhere" as HostId), null);
  });

  test("texts that do not parse never throw", () => {
    const t = twoHosts();
    const port = t.records().ports.find((p) => p.type === "Router");
    assert.ok(port?.type === "Router");
    const bad = { ...port, portMac: "x", portAddress: "y" };
    const p = compilePort(bad, { tenantId: "" as TenantId, deviceName: "", active: true, groups: new Set() });
    assert.deepEqual([p.mac, p.address, p.active], [0, 0, false]);
    const rules = t.chain("c", [{ type: "drop", condition: { dlSrc: "?", nwSrcAddress: "?" } }]).records()
      .rules as RuleRecord[];
    assert.equal(rules.length, 1);
    t.snapshot();
  });

  test("the same program gives the same ids", () => {
    assert.deepEqual(twoHosts().records(), twoHosts().records());
    assert.equal(twoHosts().portId("br1/p1"), "a0000000-0000-4000-8000-000000000001");
  });
});
