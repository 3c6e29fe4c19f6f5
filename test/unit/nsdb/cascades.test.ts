import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Nsdb } from "#core/nsdb";
import { host, rigFor, TENANT_2 } from "./rig.ts";
import { world, type World } from "./world.ts";

describe("what goes with something that is deleted (midonet-rest section 4), in one transaction", () => {
  const cases: readonly (readonly [string, (n: Nsdb, w: World, once: Once) => Promise<void>])[] = [
    [
      "a bridge: its ports, tables and trace requests",
      async (n, w, once) => {
        await once(() => n.bridges.delete(w.b.id));
        assert.deepEqual([await n.ports.find(w.vm.id), await n.ports.find(w.up.id)], [null, null]);
        assert.deepEqual([await n.traces.find(w.traces.bridge.id), await n.traces.find(w.traces.vm.id)], [null, null]);
        assert.equal((await n.ports.get(w.down.id)).peerId, null);
        assert.deepEqual(await n.hosts.bindings(w.h), []);
        assert.deepEqual(await n.portGroups.ports(w.group.id), [w.down.id]);
        assert.equal((await n.rules.list(w.filter.id)).length, 2, "the chain stays, without the trace's rule");
      },
    ],
    [
      "a router: its ports, routes and trace requests",
      async (n, w, once) => {
        await once(() => n.routers.delete(w.r.id));
        assert.deepEqual([await n.ports.find(w.down.id), await n.routes.list()], [null, []]);
        const gone = [await n.traces.find(w.traces.router.id), await n.traces.find(w.traces.down.id)];
        assert.deepEqual(gone, [null, null]);
        assert.equal((await n.ports.get(w.up.id)).peerId, null);
        assert.equal((await n.traces.list()).length, 2);
      },
    ],
    [
      "a router's port: the routes through it, its link, memberships and trace requests",
      async (n, w, once) => {
        await once(() => n.ports.delete(w.down.id));
        assert.deepEqual(await n.routes.list(w.r.id), [], "the Local route, too");
        assert.equal((await n.ports.get(w.up.id)).peerId, null);
        assert.deepEqual(await n.portGroups.ports(w.group.id), [w.vm.id]);
        assert.equal(await n.traces.find(w.traces.down.id), null);
        assert.notEqual(await n.traces.find(w.traces.router.id), null);
      },
    ],
    [
      "a bridge's port: its binding, table entries, memberships and trace requests with the chain made for them",
      async (n, w, once) => {
        const made = (await n.traces.get(w.traces.vm.id)).enabledChain ?? assert.fail();
        await once(() => n.ports.delete(w.vm.id));
        assert.deepEqual([await n.hosts.bindings(w.h), await n.chains.find(made)], [[], null]);
        assert.equal((await n.state.macs(w.b.id, 0)).filter((e) => e.fixed === true).length, 0);
        assert.equal(await n.traces.find(w.traces.vm.id), null);
      },
    ],
    [
      "a chain: its rules, the jumps to it, the filters that name it; its trace requests are disabled",
      async (n, w, once) => {
        await once(() => n.chains.delete(w.target.id));
        assert.deepEqual([await n.rules.find(w.jump.id), await n.rules.find(w.rule.id)], [null, null]);
        assert.deepEqual(
          [(await n.bridges.get(w.b.id)).outboundFilterId, (await n.routers.get(w.r.id)).inboundFilterId],
          [null, null],
        );
        assert.equal((await n.traces.get(w.traces.router.id)).enabledRule, null);
        assert.notEqual((await n.traces.get(w.traces.bridge.id)).enabledRule, null);
      },
    ],
    [
      "a port group: its memberships; a rule that names it stays",
      async (n, w, once) => {
        await once(() => n.portGroups.delete(w.group.id));
        assert.deepEqual(await n.portGroups.list({ portId: w.vm.id }), []);
        assert.equal((await n.rules.get(w.rule.id)).condition.portGroup, w.group.id);
      },
    ],
    [
      "an ip address group: its addresses",
      async (n, _w, once) => {
        const group = await n.ipAddrGroups.create({ name: "g" });
        await n.ipAddrGroups.addAddress(group.id, "10.0.0.1");
        await once(() => n.ipAddrGroups.delete(group.id));
        assert.deepEqual(await n.ipAddrGroups.list(), []);
      },
    ],
    [
      "a tunnel zone: its members; a host: its memberships",
      async (n, w, once) => {
        await n.ports.unbind(w.vm.id);
        const zone = (await n.tunnelZones.list())[0] ?? assert.fail();
        const other = await host(n, "other");
        await once(() => n.hosts.delete(other));
        assert.deepEqual(
          (await n.tunnelZones.members(zone.id)).map((m) => m.hostId),
          [w.h],
        );
        await once(() => n.tunnelZones.delete(zone.id));
        assert.deepEqual(await n.tunnelZones.list(), []);
      },
    ],
  ];
  for (const [name, run] of cases)
    it(name, async (t) => {
      const { nsdb, once, sound } = await rigFor(t);
      const w = await world(nsdb);
      await nsdb.state.setAlive(w.h);
      await sound();
      await run(nsdb, w, once);
      await sound();
    });

  it("everything, in any order: nothing is left but what was there first", async (t) => {
    const { nsdb, store, sound } = await rigFor(t);
    const w = await world(nsdb);
    await nsdb.bridges.update(w.b.id, { tenantId: TENANT_2 });
    for (const { id } of await nsdb.chains.list()) await nsdb.chains.delete(id).catch(() => undefined);
    await nsdb.portGroups.delete(w.group.id);
    await nsdb.bridges.delete(w.b.id);
    await nsdb.routers.delete(w.r.id);
    for (const directory of ["bridges", "routers", "ports", "chains", "rules", "routes", "traces", "port_groups"])
      assert.deepEqual(await store.children(`/${directory}`), [], directory);
    assert.deepEqual(await store.children("/tunnel_keys"), []);
    await sound();
  });
});

type Once = <T>(work: () => Promise<T>) => Promise<T>;
