import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ChainId } from "#core/base";
import { applyDocument, type ApplyReport } from "#core/nsdb";
import type { BridgeSpec, TopologyDocument } from "#core/topology";
import { EXAMPLE, T1 } from "./documents.ts";
import { accept, refused, rigFor, ruleTypes, trace } from "./rig.ts";

const NOTHING: TopologyDocument = {
  hosts: [],
  tunnelZones: [],
  ipAddrGroups: [],
  portGroups: [],
  chains: [],
  bridges: [],
  routers: [],
};
const changes = (r: ApplyReport): string[] =>
  r.objects
    .filter((o) => o.action !== "unchanged")
    .map((o) => `${o.action} ${o.kind} ${o.name} ${(o.changes ?? []).join()}`.trim());
const net = EXAMPLE.bridges[0] as BridgeSpec;
const withNet = (more: Partial<BridgeSpec>): TopologyDocument => ({ ...NOTHING, bridges: [{ ...net, ...more }] });

describe("applying a topology document", () => {
  it("makes everything in one transaction, and then nothing", async (t) => {
    const { nsdb, once, silent, sound } = await rigFor(t);
    const first = await once(() => applyDocument(nsdb, EXAMPLE));
    assert.deepEqual([...new Set(first.objects.map((o) => o.action))], ["created"]);
    assert.equal(new Set(first.objects.map((o) => o.kind)).size, 9);
    await sound();
    const second = await silent(() => applyDocument(nsdb, EXAMPLE));
    assert.deepEqual(changes(second), []);
    assert.deepEqual(second.objects.map((o) => o.id).sort(), first.objects.map((o) => o.id).sort());
    const r = await nsdb.readTopology();
    assert.equal(r.ports.length, 5);
    const guard = r.chains.find((c) => c.name === "guard");
    const [drop, jump, last] = await nsdb.rules.list(guard?.id as ChainId);
    assert.equal(drop?.condition.ipAddrGroupSrc, r.ipAddrGroups[0]?.id);
    assert.deepEqual(jump?.condition.inPorts, [r.ports.find((p) => p.name === "vm1")?.id]);
    assert.equal(jump?.condition.inPortGroup, r.portGroups[0]?.id);
    assert.equal(last?.condition.traversedDevice, r.routers[0]?.id);
    assert.equal(
      r.bridges.find((b) => b.tenantId !== T1)?.outboundFilterId,
      r.chains.find((c) => c.name === "rest")?.id,
    );
  });

  it("two applies at once make one topology", async (t) => {
    const { nsdb, other, sound } = await rigFor(t);
    await Promise.all([applyDocument(nsdb, EXAMPLE), applyDocument(other, EXAMPLE)]);
    assert.equal((await nsdb.bridges.list()).length, 2);
    await sound();
  });

  it("says what changed, and leaves what it does not name", async (t) => {
    const { nsdb, once, silent, sound } = await rigFor(t);
    await applyDocument(nsdb, EXAMPLE);
    const { inFilter: _, ...silentNet } = net;
    const doc = { ...NOTHING, bridges: [{ ...silentNet, up: false, ports: [{ name: "vm1", up: false, vlan: 5 }] }] };
    const report = await once(() => applyDocument(nsdb, doc));
    assert.deepEqual(changes(report), ["changed bridge net adminStateUp", "changed port net/vm1 adminStateUp,vlanId"]);
    await silent(() => applyDocument(nsdb, doc));
    const b = (await nsdb.bridges.list({ tenantId: T1 }))[0];
    assert.notEqual(b?.inboundFilterId, null);
    assert.equal((await nsdb.ports.list({ deviceId: b?.id ?? "" })).length, 3);
    const vm1 = (await nsdb.ports.list()).find((p) => p.name === "vm1");
    assert.equal(vm1?.interfaceName, "tap1");
    await sound();
  });

  it("replaces a chain's rules but its trace rules, and keeps the ids of rules that stay", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    await applyDocument(nsdb, EXAMPLE);
    const b = (await nsdb.bridges.list({ tenantId: T1 }))[0];
    assert.ok(b);
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    const guard = b.inboundFilterId as ChainId;
    await accept(nsdb, guard, 1);
    const before = await nsdb.rules.list(guard);
    assert.deepEqual(
      before.map((r) => r.type),
      ["accept", "trace", "drop", "jump", "accept"],
    );
    const report = await once(() => applyDocument(nsdb, EXAMPLE));
    assert.deepEqual(changes(report), ["changed chain guard rules"]);
    const after = await nsdb.rules.list(guard);
    assert.deepEqual(
      after.map((r) => r.id),
      before.slice(1).map((r) => r.id),
    );
    assert.equal(after[0]?.id, made.enabledRule);
    await sound();
    await once(() => applyDocument(nsdb, { ...NOTHING, chains: [{ name: "guard", tenant: T1, rules: [] }] }));
    assert.deepEqual(await ruleTypes(nsdb, guard), ["trace"]);
    await sound();
  });

  it("does not take the auto chain from a traced device", async (t) => {
    const { nsdb, silent } = await rigFor(t);
    const doc: TopologyDocument = { ...NOTHING, bridges: [{ name: "b", tenant: T1, up: true, ports: [] }] };
    const [made] = (await applyDocument(nsdb, doc)).objects;
    await trace(nsdb, "BRIDGE", { id: made?.id as never }, { enabled: true });
    await silent(() => applyDocument(nsdb, doc));
  });

  it("moves bindings, links, addresses, routes and hosts", async (t) => {
    const { nsdb, once, silent, sound } = await rigFor(t);
    await applyDocument(nsdb, EXAMPLE);
    const gw = EXAMPLE.routers[0];
    assert.ok(gw);
    const doc: TopologyDocument = {
      ...NOTHING,
      hosts: [{ name: "renamed", id: "11111111-1111-4111-8111-111111111111" }],
      tunnelZones: [{ name: "tz", type: "gre", hosts: { renamed: "192.0.2.7" } }],
      bridges: [
        {
          ...net,
          ports: [
            { name: "vm1", up: true, vlan: 0, link: "gw/net" },
            { name: "vm2", up: true, vlan: 0, bind: { host: "renamed", interface: "tap1" } },
          ],
        },
      ],
      routers: [
        {
          ...gw,
          ports: [{ name: "net", up: true, address: "10.0.0.9/24" }],
          routes: [{ type: "Normal", src: "0.0.0.0/0", dst: "10.0.0.0/24", port: "net", weight: 2 }],
        },
      ],
    };
    const report = await once(() => applyDocument(nsdb, doc));
    assert.deepEqual(changes(report), [
      "changed host renamed name",
      "changed tunnelZone tz type,hosts.renamed",
      "changed port net/vm1 link",
      "changed port net/vm2 bind",
      "changed port gw/net portAddress",
      "changed route gw 10.0.0.0/24 weight",
    ]);
    await sound();
    await silent(() => applyDocument(nsdb, doc));
    assert.equal((await nsdb.ports.list()).find((p) => p.name === "up")?.peerId, null);
  });

  it("refuses names that nothing has, or several have, and changes nothing", async (t) => {
    const { nsdb, silent } = await rigFor(t);
    await applyDocument(nsdb, EXAMPLE);
    const bad: [TopologyDocument, RegExp][] = [
      [withNet({ inFilter: "nope" }), /bridges\[0\]\.inFilter: there is no chain nope/],
      [withNet({ ports: [{ name: "vm1", up: true, vlan: 0, link: "gw/nope" }] }), /bridges\[0\]\.ports\[0\]\.link/],
      [withNet({ ports: [{ name: "vm1", up: true, vlan: 0, bind: { host: "x", interface: "e" } }] }), /bind\.host/],
      [
        withNet({ ports: [{ name: "vm1", up: true, vlan: 0, link: "gw/out", bind: { host: "h1", interface: "e" } }] }),
        /not both/,
      ],
      [
        withNet({ ports: ["vm1", "vm2"].map((name) => ({ name, up: true, vlan: 0, link: "gw/out" })) }),
        /linked to another one/,
      ],
      [{ ...NOTHING, portGroups: [{ name: "web", tenant: T1, stateful: true, ports: ["x"] }] }, /no port x/],
      [
        { ...NOTHING, chains: [{ name: "c", tenant: T1, rules: [{ type: "jump", condition: {} }] }] },
        /rules\[0\]\.jump/,
      ],
      [
        {
          ...NOTHING,
          routers: [
            {
              name: "gw",
              tenant: T1,
              up: true,
              ports: [],
              routes: [{ type: "Normal", src: "x", dst: "y", weight: 1 }],
            },
          ],
        },
        /routes\[0\]\.src/,
      ],
    ];
    for (const [doc, text] of bad) await silent(() => refused(applyDocument(nsdb, doc), "VALIDATION", text));
    await nsdb.chains.create({ name: "guard", tenantId: T1 as never });
    await refused(applyDocument(nsdb, withNet({})), "CONFLICT", /2 objects of kind chain have the name guard/);
    await refused(
      applyDocument(nsdb, { ...NOTHING, hosts: [{ name: "h1", id: "22222222-2222-4222-8222-222222222222" }] }),
      "CONFLICT",
    );
  });
});
