import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { HostId } from "#core/base";
import { applySmallNetwork, at, clientOf, listMedia, media, type Rig, startRig } from "./api-support.ts";

const UNKNOWN = "11111111-2222-4333-8444-555555555555";

describe("hosts, zones and groups of midonet-rest section 6", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  const id = (name: string): string => ids.get(name) ?? assert.fail(`no ${name}`);
  const { get, status, violation, change } = clientOf(() => rig);

  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
  });
  after(() => rig.stop());

  it("hosts, interfaces, bindings", async () => {
    const host = id("h1") as HostId;
    assert.equal(at(await get(`/hosts/${host}`), "alive"), false);
    await rig.nsdb.state.setAlive(host);
    await rig.nsdb.state.putInterface(host, {
      name: "eth0/1",
      mac: "02:00:00:00:00:01",
      mtu: 1500,
      status: 3,
      type: "Physical",
      endpoint: "DATAPATH",
      portType: "NetDev",
      addresses: ["192.0.2.1"],
    });
    const shown = await get(`/hosts/${host}`);
    assert.deepEqual(
      [at(shown, "alive"), at(shown, "containerLimit"), at(shown, "addresses")],
      [true, -1, ["192.0.2.1"]],
    );
    assert.equal(at(shown, "hostInterfaces.0.status"), 3);
    const uri = String(at(await get(`/hosts/${host}/interfaces`), "0.uri"));
    assert.equal(at(await get(uri), "name"), "eth0/1");
    assert.equal(await status("GET", `/hosts/${host}/interfaces/none`), 404);

    const bridge = await rig.make("/bridges", { name: "b" });
    const port = await rig.make(`/bridges/${bridge}/ports`, { type: "Bridge" });
    const bindings = `/hosts/${host}/ports`;
    const post = await rig.ask("POST", bindings, {
      headers: { "content-type": media("HostInterfacePort-v1") },
      body: { portId: port, interfaceName: "tap9" },
    });
    assert.deepEqual([post.status, post.headers.location], [201, `${rig.base}${bindings}/${port}`]);
    assert.equal(at(await get(`${bindings}/${port}`), "interfaceName"), "tap9");
    assert.deepEqual(
      [at(await get(`/ports/${port}`), "hostId"), at(await get(`/ports/${port}`), "active")],
      [host, false],
    );
    assert.equal(await status("POST", bindings, { portId: port, interfaceName: "tap8" }), 409);
    assert.equal(await status("POST", bindings, { portId: UNKNOWN, interfaceName: "tap8" }), 404);
    assert.equal(await status("POST", bindings, { portId: port }), 400);
    const free = await rig.make(`/bridges/${bridge}/ports`, { type: "Bridge" });
    assert.equal(
      await status("POST", bindings, { portId: free, interfaceName: "tap9" }),
      409,
      "the interface is taken",
    );
    assert.equal(await status("GET", `${bindings}/${free}`), 404);
    assert.equal(await status("DELETE", `${bindings}/${port}`), 204);
    assert.equal(at(await get(`/ports/${port}`), "hostId"), null);
    assert.equal(await status("DELETE", `${bindings}/${UNKNOWN}`), 404);
  });

  it("tunnel zones and members, in both media types", async () => {
    const zone = await rig.make("/tunnel_zones", { name: "tz1", type: "gre" });
    assert.equal(await status("POST", "/tunnel_zones", { name: "tz1", type: "vxlan" }), 409);
    assert.equal(violation(await rig.ask("POST", "/tunnel_zones", { body: { type: "vxlan" } })), "name");
    assert.equal(violation(await rig.ask("POST", "/tunnel_zones", { body: { name: "x", type: "stt" } })), "type");
    assert.equal(at(await change(`/tunnel_zones/${zone}`, {}), "name"), "tz1", "its own name is no conflict");
    assert.equal(at(await change(`/tunnel_zones/${zone}`, { name: "tz2" }), "name"), "tz2");
    const members = `/tunnel_zones/${zone}/hosts`;
    const body = { hostId: id("h1"), ipAddress: "192.0.2.11" };
    const headers = { "content-type": media("GreTunnelZoneHost-v1") };
    assert.equal((await rig.ask("POST", members, { headers, body })).status, 201);
    assert.equal(await status("POST", members, body), 409);
    assert.equal(await status("POST", members, { ...body, hostId: UNKNOWN }), 404);
    assert.equal(violation(await rig.ask("POST", members, { body: { ...body, ipAddress: "x" } })), "ipAddress");
    for (const type of ["TunnelZoneHost-v1", "GreTunnelZoneHost-v1"]) {
      const answer = await rig.ask("GET", members, { headers: { accept: listMedia(type) } });
      assert.deepEqual([answer.status, answer.headers["content-type"]], [200, listMedia(type)]);
    }
    const member = `${members}/${id("h1")}`;
    assert.equal(at(await get(member), "tunnelZone"), `${rig.base}/tunnel_zones/${zone}`);
    assert.deepEqual([await status("DELETE", member), await status("DELETE", member)], [204, 404]);
    assert.deepEqual(
      [await status("DELETE", `/tunnel_zones/${zone}`), await status("DELETE", `/tunnel_zones/${zone}`)],
      [204, 204],
    );
  });

  it("port groups and members", async () => {
    const group = await rig.make("/port_groups", { name: "pg", tenantId: "t1", stateful: "true" });
    const port = id("red-a/vm1");
    const members = `/port_groups/${group}/ports`;
    assert.equal(await rig.make(members, { portId: port }), port);
    assert.deepEqual(
      [await status("POST", members, { portId: port }), await status("POST", members, { portId: UNKNOWN })],
      [409, 404],
    );
    assert.equal(await status("POST", members, {}), 400);
    assert.equal(at(await get(members), "0.portId"), port);
    assert.equal(at(await get(`/ports/${port}/port_groups`), "0.portGroupId"), group);
    assert.equal(at(await get(`/port_groups?port_id=${port}`), "0.id"), group);
    assert.equal(at(await change(`/port_groups/${group}`, { stateful: false }), "stateful"), false);
    assert.equal(at(await get(`${members}/${port}`), "portGroup"), `${rig.base}/port_groups/${group}`);
    assert.deepEqual(
      [await status("DELETE", `${members}/${port}`), await status("DELETE", `${members}/${port}`)],
      [204, 404],
    );
    assert.equal(await status("DELETE", `/port_groups/${group}`), 204);
    assert.equal(await status("DELETE", `/port_groups/${group}`), 204);
  });

  it("ip address groups and addresses, IPv6 percent-encoded", async () => {
    const group = await rig.make("/ip_addr_groups", { name: "ipg" });
    assert.equal(violation(await rig.ask("POST", "/ip_addr_groups", { body: {} })), "name");
    const addrs = `/ip_addr_groups/${group}/ip_addrs`;
    const post = await rig.ask("POST", addrs, { body: { version: 4, addr: "10.1.1.1" } });
    assert.equal(post.headers.location, `${rig.base}/ip_addr_groups/${group}/versions/4/ip_addrs/10.1.1.1`);
    assert.equal(at(await get(post.headers.location ?? ""), "addr"), "10.1.1.1");
    assert.equal(await status("POST", addrs, { version: "4", addr: "10.1.1.1" }), 409);
    const six = String(
      (await rig.ask("POST", addrs, { body: { version: "6", addr: "2001:DB8::1" } })).headers.location,
    );
    assert.match(six, /versions\/6\/ip_addrs\/2001%3Adb8%3A%3A1$/);
    assert.equal(at(await get(six), "addr"), "2001:db8::1");
    for (const body of [
      { version: 5, addr: "10.1.1.2" },
      { addr: "10.1.1.2" },
      { version: 4, addr: "x" },
      { version: 6, addr: "10.1.1.2" },
    ])
      assert.equal(await status("POST", addrs, body), 400, JSON.stringify(body));
    assert.equal(((await get(addrs)) as unknown[]).length, 2);
    assert.deepEqual(
      [await status("DELETE", six), await status("DELETE", six), await status("GET", six)],
      [204, 204, 404],
    );
    assert.equal(await status("DELETE", `/ip_addr_groups/${group}`), 204);
  });

  it("tenants: those that own something; any id can be shown", async () => {
    const tenants = ((await get("/tenants")) as unknown[]).map((t) => at(t, "id"));
    assert.deepEqual(tenants, ["red"]);
    const tenant = await get("/tenants/some%20body");
    assert.deepEqual([at(tenant, "id"), at(tenant, "enabled")], ["some body", true]);
    assert.equal(at(tenant, "routers"), `${rig.base}/routers?tenant_id=some%20body`);
    assert.equal(await status("POST", "/tenants", {}), 405);
  });

  it("logs no defect in all of this", () => {
    assert.deepEqual(rig.log, [`listening on ${rig.url}`]);
  });
});
