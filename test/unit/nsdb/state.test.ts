import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BridgeId, HostId, PortId, RouterId } from "#core/base";
import { bridge, host, NO_ID, refused, rigFor, router } from "./rig.ts";

describe("what agents say of the moment", () => {
  it("alive and active end with the agent's session; a new session takes over", async (t) => {
    const { nsdb, other, store, otherStore } = await rigFor(t);
    const h = await host(nsdb);
    const p = await nsdb.ports.createOnBridge((await bridge(nsdb)).id, {});
    await nsdb.ports.bind({ portId: p.id, hostId: h, interfaceName: "e" });
    await other.state.setAlive(h);
    await other.state.setPortActive(p.id, h);
    await nsdb.state.setAlive(h);
    await otherStore.stop();
    assert.ok(await nsdb.state.isAlive(h), "the newer session owns it");
    assert.deepEqual(await nsdb.state.activeHosts(p.id), []);
    await nsdb.state.setPortActive(p.id, h);
    await nsdb.state.setPortActive(p.id, h);
    assert.deepEqual([...(await nsdb.readTopology()).activePorts], [[p.id, h]]);
    await nsdb.state.clearPortActive(p.id, h);
    await nsdb.state.clearPortActive(p.id, h);
    assert.equal((await nsdb.readTopology()).activePorts.size, 0);
    await refused(nsdb.state.setPortActive(NO_ID as PortId, h), "NOT_FOUND", /port/);
    await refused(nsdb.state.setAlive(NO_ID as HostId), "NOT_FOUND", /host/);
    await store.stop();
  });

  it("an unbound port is not active", async (t) => {
    const { nsdb } = await rigFor(t);
    const h = await host(nsdb);
    const p = await nsdb.ports.createOnBridge((await bridge(nsdb)).id, {});
    await nsdb.ports.bind({ portId: p.id, hostId: h, interfaceName: "e" });
    await nsdb.state.setPortActive(p.id, h);
    await nsdb.ports.unbind(p.id);
    assert.deepEqual(await nsdb.state.activeHosts(p.id), []);
  });

  it("interfaces, of any name", async (t) => {
    const { nsdb } = await rigFor(t);
    const h = await host(nsdb);
    for (const name of ["eth0", "weird/näme%", ".."]) {
      const data = {
        name,
        mac: null,
        mtu: 1500,
        status: 3,
        type: "Virtual",
        endpoint: "VM",
        portType: null,
        addresses: [],
      };
      await nsdb.state.putInterface(h, data);
      await nsdb.state.putInterface(h, { ...data, mtu: 9000 });
      assert.deepEqual(await nsdb.state.interfaces(h), [{ ...data, mtu: 9000 }]);
      await nsdb.state.removeInterface(h, name);
      assert.deepEqual(await nsdb.state.interfaces(h), []);
    }
  });

  it("a MAC is where it was learned last", async (t) => {
    const { nsdb, other } = await rigFor(t);
    const b = await bridge(nsdb);
    const [p, q] = [await nsdb.ports.createOnBridge(b.id, {}), await nsdb.ports.createOnBridge(b.id, {})];
    const at = (port: PortId, vlan: number) => ({ mac: "02:00:00:00:00:01", portId: port, vlan });
    await nsdb.state.putMac(b.id, at(p.id, 0));
    await other.state.putMac(b.id, at(q.id, 0));
    assert.deepEqual(await nsdb.state.macs(b.id, 0), [at(q.id, 0)]);
    await nsdb.state.putMac(b.id, at(p.id, 0));
    assert.deepEqual(await nsdb.state.macs(b.id, 0), [at(p.id, 0)], "back again");
    await nsdb.state.removeMac(b.id, at(p.id, 0));
    assert.deepEqual(await nsdb.state.macs(b.id, 0), [at(q.id, 0)]);
    await nsdb.state.putMac(b.id, at(p.id, 12));
    await nsdb.state.putMac(b.id, at(q.id, 12));
    assert.deepEqual(await nsdb.state.macs(b.id, 12), [at(q.id, 12)]);
    assert.deepEqual(await nsdb.state.macVlans(b.id), [12]);
    await refused(nsdb.state.putMac(NO_ID as BridgeId, at(p.id, 0)), "NOT_FOUND", /bridge/);
    await refused(nsdb.state.putMac(NO_ID as BridgeId, at(p.id, 3)), "NOT_FOUND", /bridge/);
    await nsdb.bridges.delete(b.id);
    assert.deepEqual(await nsdb.state.macs(b.id, 12), []);
  });

  it("ARP entries", async (t) => {
    const { nsdb, other } = await rigFor(t);
    const r = await router(nsdb);
    const entry = { ip: "10.0.0.1", mac: null, lastArpMs: 1, staleMs: 2, expiryMs: 3 };
    await nsdb.state.putArp(r.id, entry);
    await other.state.putArp(r.id, { ...entry, mac: "02:00:00:00:00:01" });
    assert.deepEqual(await nsdb.state.arp(r.id), [{ ...entry, mac: "02:00:00:00:00:01" }]);
    await nsdb.state.removeArp(r.id, "10.0.0.1");
    await nsdb.state.removeArp(r.id, "10.0.0.1");
    assert.deepEqual(await nsdb.state.arp(r.id), []);
    await refused(nsdb.state.putArp(NO_ID as RouterId, entry), "NOT_FOUND", /router/);
  });
});
