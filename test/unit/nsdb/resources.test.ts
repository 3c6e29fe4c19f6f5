import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostId, IpAddrGroupId, PortGroupId, PortId, RouterId, RuleId, TunnelZoneId } from "#core/base";
import { HOST_WEIGHTS } from "#core/topology";
import {
  accept,
  bridge,
  chain,
  host,
  ids,
  NO_ID,
  refused,
  rigFor,
  router,
  ruleTypes,
  TENANT,
  TENANT_2,
} from "./rig.ts";

const ANY = { srcNetworkAddr: "0.0.0.0", srcNetworkLength: 0, dstNetworkAddr: "10.2.0.0", dstNetworkLength: 16 };

describe("bridges and routers", () => {
  it("are created, read, listed by tenant, changed and deleted", async (t) => {
    const { nsdb, once, silent, sound } = await rigFor(t);
    const b = await once(() => bridge(nsdb));
    const r = await once(() => router(nsdb, { tenantId: TENANT_2 }));
    assert.deepEqual(await nsdb.bridges.get(b.id), b);
    assert.deepEqual(ids(await nsdb.bridges.list({ tenantId: TENANT })), [b.id]);
    assert.deepEqual(ids(await nsdb.routers.list({ tenantId: TENANT })), []);
    assert.equal((await once(() => nsdb.routers.update(r.id, { adminStateUp: false }))).adminStateUp, false);
    assert.equal((await nsdb.routers.get(r.id)).name, "r");
    await silent(() => nsdb.routers.update(r.id, { name: "r" }));
    await once(() => nsdb.bridges.delete(b.id));
    await refused(nsdb.bridges.get(b.id), "NOT_FOUND", new RegExp(`bridge ${b.id}`));
    await refused(nsdb.bridges.delete(b.id), "NOT_FOUND");
    assert.equal(await nsdb.bridges.find(b.id), null);
    await sound();
  });

  it("refuse an id that exists, one that is none, and filters that do not exist", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    await refused(bridge(nsdb, { id: b.id }), "ALREADY_EXISTS", new RegExp(b.id));
    await refused(bridge(nsdb, { id: "../x" as typeof b.id }), "VALIDATION", /id/);
    assert.equal(await nsdb.bridges.find("../x"), null);
    await refused(bridge(nsdb, { inboundFilterId: NO_ID as never }), "NOT_FOUND", /chain/);
    await refused(nsdb.bridges.update(b.id, { outboundFilterId: NO_ID as never }), "NOT_FOUND", /chain/);
    await refused(nsdb.bridges.update(b.id, { name: "x".repeat(300) }), "VALIDATION", /name/);
    await sound();
  });
});

describe("ports", () => {
  it("have a tunnel key, and a Local route with their address", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const [b, r] = [await bridge(nsdb), await router(nsdb)];
    const p1 = await once(() => nsdb.ports.createOnBridge(b.id, { vlanId: 7 }));
    const p2 = await once(() => nsdb.ports.createOnRouter(r.id, { portAddress: "10.0.0.1", networkLength: 24 }));
    assert.deepEqual([p1.tunnelKey, p2.tunnelKey], [1, 2]);
    assert.match(p2.portMac, /^ac:ca:ba:/);
    const [local] = await nsdb.routes.list(r.id);
    assert.deepEqual(
      [local?.type, local?.dstNetworkAddr, local?.dstNetworkLength, local?.nextHopPort, local?.weight],
      ["Local", "10.0.0.1", 32, p2.id, 0],
    );
    await once(() => nsdb.ports.update(p2.id, { portAddress: "10.0.0.2" }));
    assert.deepEqual(
      (await nsdb.routes.list(r.id)).map((x) => x.dstNetworkAddr),
      ["10.0.0.2"],
    );
    await nsdb.ports.update(p2.id, { portAddress: null });
    assert.deepEqual(await nsdb.routes.list(r.id), []);
    await refused(nsdb.ports.update(p2.id, { portAddress: "224.0.0.1" }), "VALIDATION", /portAddress/);
    await refused(nsdb.ports.createOnBridge(NO_ID as never, {}), "NOT_FOUND", /bridge/);
    await refused(nsdb.ports.createOnRouter(b.id as never, {}), "NOT_FOUND", /router/);
    assert.deepEqual(ids(await nsdb.ports.list({ deviceId: b.id })), [p1.id]);
    assert.equal((await nsdb.ports.list()).length, 2);
    await sound();
  });

  it("keep id, device, key, binding and link in an update", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const p = await nsdb.ports.createOnBridge(b.id, {});
    const evil = { ...p, id: NO_ID, deviceId: NO_ID, tunnelKey: 99, hostId: NO_ID, peerId: NO_ID, name: "n" };
    assert.deepEqual(await nsdb.ports.update(p.id, evil as never), { ...p, name: "n" });
    await sound();
  });

  it("link and unlink on both sides", async (t) => {
    const { nsdb, once, silent, sound } = await rigFor(t);
    const [b, r] = [await bridge(nsdb), await router(nsdb)];
    const [p, q] = [await nsdb.ports.createOnBridge(b.id, {}), await nsdb.ports.createOnRouter(r.id, {})];
    const third = await nsdb.ports.createOnBridge(b.id, {});
    await once(() => nsdb.ports.link(p.id, q.id));
    assert.deepEqual([(await nsdb.ports.get(p.id)).peerId, (await nsdb.ports.get(q.id)).peerId], [q.id, p.id]);
    await refused(nsdb.ports.link(p.id, q.id), "CONFLICT");
    await refused(nsdb.ports.link(third.id, q.id), "CONFLICT", new RegExp(q.id));
    await refused(nsdb.ports.link(third.id, third.id), "CONFLICT", /itself/);
    await refused(nsdb.ports.link(third.id, NO_ID as PortId), "NOT_FOUND", /port/);
    await refused(
      nsdb.ports.bind({ portId: p.id, hostId: await host(nsdb), interfaceName: "e" }),
      "CONFLICT",
      /linked/,
    );
    await once(() => nsdb.ports.unlink(q.id));
    await silent(() => nsdb.ports.unlink(q.id));
    assert.equal((await nsdb.ports.get(p.id)).peerId, null);
    await refused(nsdb.ports.unlink(NO_ID as PortId), "NOT_FOUND");
    await sound();
  });

  it("are bound to an interface of a host in a tunnel zone, once", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const [p, q] = [await nsdb.ports.createOnBridge(b.id, {}), await nsdb.ports.createOnBridge(b.id, {})];
    const lonely = await nsdb.hosts.create({ name: "lonely" });
    const h = await host(nsdb);
    await refused(nsdb.ports.bind({ portId: p.id, hostId: lonely.id, interfaceName: "e" }), "CONFLICT", /tunnel zone/);
    await refused(nsdb.ports.bind({ portId: p.id, hostId: NO_ID as HostId, interfaceName: "e" }), "NOT_FOUND", /host/);
    await refused(nsdb.ports.bind({ portId: NO_ID as PortId, hostId: h, interfaceName: "e" }), "NOT_FOUND", /port/);
    await once(() => nsdb.ports.bind({ portId: p.id, hostId: h, interfaceName: "e" }));
    await refused(nsdb.ports.bind({ portId: p.id, hostId: h, interfaceName: "f" }), "CONFLICT", /bound/);
    await refused(nsdb.ports.bind({ portId: q.id, hostId: h, interfaceName: "e" }), "CONFLICT", /interface e/);
    await refused(nsdb.ports.link(p.id, q.id), "CONFLICT", /bound/);
    assert.deepEqual(await nsdb.hosts.bindings(h), [{ hostId: h, portId: p.id, interfaceName: "e" }]);
    assert.equal((await nsdb.hosts.binding(h, p.id)).interfaceName, "e");
    await refused(nsdb.hosts.binding(h, q.id), "NOT_FOUND");
    await refused(nsdb.hosts.delete(h), "FORBIDDEN", /bound/);
    assert.deepEqual(ids(await nsdb.ports.list({ hostId: h })), [p.id]);
    await sound();
    await once(() => nsdb.ports.unbind(p.id));
    await nsdb.ports.unbind(p.id);
    await nsdb.hosts.delete(h);
    await sound();
  });

  it("two servers cannot bind one interface twice", async (t) => {
    const { nsdb, other, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const [p, q] = [await nsdb.ports.createOnBridge(b.id, {}), await nsdb.ports.createOnBridge(b.id, {})];
    const h = await host(nsdb);
    const results = await Promise.allSettled([
      nsdb.ports.bind({ portId: p.id, hostId: h, interfaceName: "e" }),
      other.ports.bind({ portId: q.id, hostId: h, interfaceName: "e" }),
    ]);
    assert.deepEqual(results.map((x) => x.status).sort(), ["fulfilled", "rejected"]);
    await sound();
  });

  it("take everything along when deleted", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const [b, r] = [await bridge(nsdb), await router(nsdb)];
    const c = await chain(nsdb);
    const p = await nsdb.ports.createOnBridge(b.id, { inboundFilterId: c.id });
    const q = await nsdb.ports.createOnRouter(r.id, { portAddress: "10.0.0.1", networkLength: 24 });
    const bound = await nsdb.ports.createOnBridge(b.id, {});
    const h = await host(nsdb);
    await nsdb.ports.link(p.id, q.id);
    await nsdb.ports.bind({ portId: bound.id, hostId: h, interfaceName: "e" });
    await nsdb.state.setAlive(h);
    await nsdb.state.setPortActive(bound.id, h);
    await nsdb.routes.create(r.id, { ...ANY, type: "Normal", nextHopPort: q.id, nextHopGateway: null, weight: 1 });
    const g = await nsdb.portGroups.create({ name: "g" });
    for (const port of [p, q, bound]) await nsdb.portGroups.addPort(g.id, port.id);
    await once(() => nsdb.ports.delete(q.id));
    assert.equal((await nsdb.ports.get(p.id)).peerId, null);
    assert.deepEqual(await nsdb.routes.list(), []);
    await sound();
    await once(() => nsdb.bridges.delete(b.id));
    assert.deepEqual(await nsdb.portGroups.ports(g.id), []);
    assert.deepEqual(await nsdb.hosts.bindings(h), []);
    await refused(nsdb.ports.delete(q.id), "NOT_FOUND");
    await sound();
  });
});

describe("tunnel keys", () => {
  it("are reused after wrapping, and run out with an error of their own", async (t) => {
    const { nsdb, sound } = await rigFor(t, { maxTunnelKey: 40 });
    const b = await bridge(nsdb);
    const ports = [];
    for (let i = 0; i < 40; i++) ports.push(await nsdb.ports.createOnBridge(b.id, {}));
    assert.deepEqual(
      ports.map((p) => p.tunnelKey),
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
    await refused(nsdb.ports.createOnBridge(b.id, {}), "TUNNEL_KEYS_EXHAUSTED");
    await nsdb.ports.delete(ports[29]?.id as PortId);
    assert.equal((await nsdb.ports.createOnBridge(b.id, {})).tunnelKey, 30);
    await sound();
  });

  it("are not lost when the creation fails", async (t) => {
    const { nsdb, store, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    store.before = () => {
      throw new Error("power cut");
    };
    await assert.rejects(nsdb.ports.createOnBridge(b.id, {}), /power cut/);
    store.before = () => {};
    assert.equal((await nsdb.ports.createOnBridge(b.id, {})).tunnelKey, 1);
    await sound();
  });

  it("are unique though many servers allocate at once", async (t) => {
    const { nsdb, other, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const all = Array.from({ length: 30 }, (_, i) => (i % 2 ? nsdb : other).ports.createOnBridge(b.id, {}));
    assert.equal(new Set((await Promise.all(all)).map((p) => p.tunnelKey)).size, 30);
    await sound();
  });
});

describe("chains and rules", () => {
  it("insert at a position, list in order, delete", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const c = await chain(nsdb);
    const a = await once(() => accept(nsdb, c.id));
    const first = await accept(nsdb, c.id);
    const last = await accept(nsdb, c.id, 3);
    const listed = await nsdb.rules.list(c.id);
    assert.deepEqual(
      listed.map((r) => [r.id, r.position]),
      [
        [first.id, 1],
        [a.id, 2],
        [last.id, 3],
      ],
    );
    assert.equal((await nsdb.rules.get(last.id)).position, 3);
    for (const position of [0, -1, 5, 1.5]) await refused(accept(nsdb, c.id, position), "VALIDATION", /position/);
    await refused(accept(nsdb, NO_ID as never), "NOT_FOUND", /chain/);
    await once(() => nsdb.rules.delete(a.id));
    await refused(nsdb.rules.delete(a.id), "NOT_FOUND", /rule/);
    assert.equal(await nsdb.rules.find(NO_ID as RuleId), null);
    assert.equal((await nsdb.rules.list(c.id)).length, 2);
    assert.equal((await nsdb.chains.update(c.id, { name: "new" })).tenantId, TENANT);
    assert.deepEqual(ids(await nsdb.chains.list({ tenantId: TENANT_2 })), []);
    await sound();
  });

  it("a deleted chain clears filters and jump rules, in one transaction", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const [c, d] = [await chain(nsdb), await chain(nsdb, "d")];
    for (const from of [c, d])
      await nsdb.rules.create(from.id, { type: "jump", jumpChainId: c.id, condition: {}, meterName: null });
    const b = await bridge(nsdb, { inboundFilterId: c.id, outboundFilterId: d.id });
    const p = await nsdb.ports.createOnBridge(b.id, { outboundFilterId: c.id, inboundFilterId: c.id });
    await sound();
    await once(() => nsdb.chains.delete(c.id));
    const after = await nsdb.bridges.get(b.id);
    assert.deepEqual([after.inboundFilterId, after.outboundFilterId], [null, d.id]);
    assert.equal((await nsdb.ports.get(p.id)).outboundFilterId, null);
    assert.deepEqual(await ruleTypes(nsdb, d.id), []);
    await refused(nsdb.chains.delete(c.id), "NOT_FOUND");
    const jump = { type: "jump", jumpChainId: c.id, condition: {}, meterName: null } as const;
    await refused(nsdb.rules.create(d.id, jump), "NOT_FOUND", /chain/);
    await sound();
  });

  it("insertions of two servers into one chain are both kept", async (t) => {
    const { nsdb, other, sound } = await rigFor(t);
    const c = await chain(nsdb);
    await Promise.all(Array.from({ length: 20 }, (_, i) => accept(i % 2 ? nsdb : other, c.id)));
    assert.equal((await nsdb.rules.list(c.id)).length, 20);
    await sound();
  });

  it("keep every kind of rule exactly", async (t) => {
    const { nsdb } = await rigFor(t);
    const c = await chain(nsdb);
    const natTargets = [{ addressFrom: "1.2.3.4", addressTo: "1.2.3.9", portFrom: 1, portTo: 9 }];
    const common = { condition: { tpDst: { start: null, end: 80 }, inPorts: [NO_ID], invTpDst: true }, meterName: "m" };
    const made = [
      await nsdb.rules.create(c.id, { type: "dnat", flowAction: "accept", natTargets, ...common }),
      await nsdb.rules.create(c.id, { type: "rev_snat", flowAction: "return", ...common }),
      await nsdb.rules.create(c.id, { type: "reject", ...common }),
    ];
    for (const rule of made) assert.deepEqual({ ...(await nsdb.rules.get(rule.id)), position: 1 }, rule);
    await refused(
      nsdb.rules.create(c.id, { type: "dnat", flowAction: "accept", natTargets: [], ...common }),
      "VALIDATION",
      /natTargets/,
    );
  });
});

describe("routes", () => {
  it("leave by a port of their router", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const [r, s] = [await router(nsdb), await router(nsdb)];
    const [p, foreign] = [await nsdb.ports.createOnRouter(r.id, {}), await nsdb.ports.createOnRouter(s.id, {})];
    const route = { ...ANY, type: "Normal", nextHopGateway: null, weight: 1 } as const;
    const made = await once(() => nsdb.routes.create(r.id, { ...route, nextHopPort: p.id }));
    assert.deepEqual(await nsdb.routes.get(made.id), made);
    await nsdb.routes.create(r.id, { ...route, type: "BlackHole", nextHopPort: null });
    await refused(nsdb.routes.create(r.id, { ...route, nextHopPort: foreign.id }), "VALIDATION", /nextHopPort/);
    await refused(nsdb.routes.create(r.id, { ...route, nextHopPort: null }), "VALIDATION", /nextHopPort/);
    await refused(nsdb.routes.create(NO_ID as RouterId, { ...route, nextHopPort: p.id }), "NOT_FOUND", /router/);
    await refused(nsdb.routes.list(NO_ID as RouterId), "NOT_FOUND");
    assert.equal((await nsdb.routes.update(made.id, { weight: 5 })).weight, 5);
    await once(() => nsdb.routes.delete(made.id));
    await refused(nsdb.routes.delete(made.id), "NOT_FOUND");
    await refused(nsdb.routes.get(NO_ID), "NOT_FOUND", /route/);
    await nsdb.routers.delete(r.id);
    assert.deepEqual(await nsdb.routes.list(), []);
    await sound();
  });
});

describe("hosts and tunnel zones", () => {
  it("membership is on both sides", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const h = await nsdb.hosts.create({ name: "h" });
    const z = await once(() => nsdb.tunnelZones.create({ name: "z", type: "vxlan" }));
    await refused(nsdb.tunnelZones.create({ name: "z", type: "gre" }), "ALREADY_EXISTS", /name z/);
    const member = { tunnelZoneId: z.id, hostId: h.id, ipAddress: "192.0.2.1" };
    await once(() => nsdb.tunnelZones.addMember(member));
    await refused(nsdb.tunnelZones.addMember(member), "ALREADY_EXISTS");
    await refused(nsdb.tunnelZones.addMember({ ...member, hostId: NO_ID as HostId }), "NOT_FOUND", /host/);
    await refused(nsdb.tunnelZones.addMember({ ...member, tunnelZoneId: NO_ID as TunnelZoneId }), "NOT_FOUND", /zone/);
    await refused(nsdb.tunnelZones.updateMember({ ...member, ipAddress: "x" }), "VALIDATION", /ipAddress/);
    await nsdb.tunnelZones.updateMember({ ...member, ipAddress: "192.0.2.2" });
    assert.equal((await nsdb.tunnelZones.member(z.id, h.id)).ipAddress, "192.0.2.2");
    assert.equal((await nsdb.tunnelZones.members(z.id)).length, 1);
    await nsdb.tunnelZones.update(z.id, { name: "z" });
    const y = await nsdb.tunnelZones.create({ name: "y", type: "gre" });
    await refused(nsdb.tunnelZones.update(y.id, { name: "z" }), "ALREADY_EXISTS");
    await sound();
    await once(() => nsdb.tunnelZones.removeMember(z.id, h.id));
    await refused(nsdb.tunnelZones.removeMember(z.id, h.id), "NOT_FOUND");
    await nsdb.tunnelZones.addMember(member);
    await once(() => nsdb.hosts.delete(h.id));
    assert.deepEqual(await nsdb.tunnelZones.members(z.id), []);
    await once(() => nsdb.tunnelZones.delete(z.id));
    await sound();
  });

  it("two servers cannot give one name twice", async (t) => {
    const { nsdb, other } = await rigFor(t);
    const results = await Promise.allSettled(
      [nsdb, other].map((n) => n.tunnelZones.create({ name: "z", type: "vxlan" })),
    );
    assert.deepEqual(results.map((x) => x.status).sort(), ["fulfilled", "rejected"]);
  });

  it("a host registers again under its id, and is not deleted alive", async (t) => {
    const { nsdb, silent, sound } = await rigFor(t);
    const id = "11111111-1111-4111-8111-111111111111" as HostId;
    await nsdb.hosts.register(id, "a");
    await silent(() => nsdb.hosts.register(id, "a"));
    await nsdb.hosts.register(id, "b");
    assert.deepEqual(await nsdb.hosts.list(), [{ ...HOST_WEIGHTS, id, name: "b" }]);
    await nsdb.state.setAlive(id);
    await refused(nsdb.hosts.delete(id), "FORBIDDEN", /alive/);
    await nsdb.state.clearAlive(id);
    await nsdb.hosts.delete(id);
    await sound();
  });
});

describe("groups", () => {
  it("port groups", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const p = await nsdb.ports.createOnBridge(b.id, {});
    const g = await once(() => nsdb.portGroups.create({ name: "g", tenantId: TENANT }));
    await once(() => nsdb.portGroups.addPort(g.id, p.id));
    await refused(nsdb.portGroups.addPort(g.id, p.id), "ALREADY_EXISTS");
    await refused(nsdb.portGroups.addPort(g.id, NO_ID as PortId), "NOT_FOUND", /port/);
    await refused(nsdb.portGroups.addPort(NO_ID as PortGroupId, p.id), "NOT_FOUND", /port group/);
    assert.deepEqual(await nsdb.portGroups.ports(g.id), [p.id]);
    assert.deepEqual(ids(await nsdb.portGroups.list({ portId: p.id, tenantId: TENANT })), [g.id]);
    assert.equal(await nsdb.portGroups.isMember(g.id, "x/y" as PortId), false);
    assert.equal((await nsdb.portGroups.update(g.id, { stateful: true })).stateful, true);
    await nsdb.portGroups.removePort(g.id, p.id);
    await refused(nsdb.portGroups.removePort(g.id, p.id), "NOT_FOUND");
    await nsdb.portGroups.addPort(g.id, p.id);
    await once(() => nsdb.portGroups.delete(g.id));
    await sound();
  });

  it("ip address groups hold each address once, however it is written", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const g = await nsdb.ipAddrGroups.create({ name: "g" });
    await nsdb.ipAddrGroups.addAddress(g.id, "10.0.0.1");
    assert.equal(await nsdb.ipAddrGroups.addAddress(g.id, "2001:DB8:0::1"), "2001:db8::1");
    await refused(nsdb.ipAddrGroups.addAddress(g.id, "2001:db8::1"), "ALREADY_EXISTS");
    await refused(nsdb.ipAddrGroups.addAddress(g.id, "10.0.0.0/8"), "VALIDATION", /addr/);
    await refused(nsdb.ipAddrGroups.addAddress(NO_ID as IpAddrGroupId, "10.0.0.1"), "NOT_FOUND");
    assert.deepEqual(await nsdb.ipAddrGroups.addresses(g.id), ["10.0.0.1", "2001:db8::1"]);
    assert.ok(await nsdb.ipAddrGroups.hasAddress(g.id, "2001:DB8::1"));
    await nsdb.ipAddrGroups.removeAddress(g.id, "10.0.0.1");
    await nsdb.ipAddrGroups.removeAddress(g.id, "10.0.0.1");
    assert.equal((await nsdb.ipAddrGroups.update(g.id, { name: "h" })).name, "h");
    await nsdb.ipAddrGroups.delete(g.id);
    assert.deepEqual(await nsdb.ipAddrGroups.list(), []);
    await sound();
  });
});
