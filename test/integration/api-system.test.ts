import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { HostId } from "#core/base";
import { applySmallNetwork, at, clientOf, media, type Rig, startRig } from "./api-support.ts";

describe("the system's own resources (midonet-rest sections 2, 6.9 and 6.15)", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  const id = (name: string): string => ids.get(name) ?? assert.fail(`no ${name}`);
  const { get, status, violation, change } = clientOf(() => rig);

  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
  });
  after(() => rig.stop());

  it("system_state: the union of both versions, `information` included", async () => {
    assert.deepEqual(await get("/system_state"), {
      state: "ACTIVE",
      availability: "READWRITE",
      version: "5.0.0",
      writeVersion: "v5.0",
      information: null,
      uri: `${rig.base}/system_state`,
    });
    assert.equal(at(await change("/system_state", { state: "UPGRADE" }), "state"), "UPGRADE");
    assert.equal(at(await change("/system_state", { state: "ACTIVE" }), "state"), "ACTIVE");
    for (const [body, property] of [
      [{ state: "ACTIVE" }, "availability"],
      [{ state: "ASLEEP", availability: "READWRITE" }, "state"],
      [{ availability: "READONLY" }, "state"],
    ] as const) {
      const answer = await rig.ask("PUT", "/system_state", { body });
      assert.deepEqual([answer.status, violation(answer)], [400, property], answer.text);
    }
  });

  it("READONLY: nothing can be changed but that, everything can be read", async () => {
    await change("/system_state", { availability: "READONLY" });
    const refused = await rig.ask("POST", "/bridges", { body: { name: "b" } });
    assert.deepEqual([refused.status, at(refused.json, "error")], [503, "READ_ONLY"]);
    assert.equal(await status("PUT", `/bridges/${id("red-a")}`, { name: "b" }), 503);
    assert.equal(await status("DELETE", `/bridges/${id("red-a")}`), 503);
    assert.equal(await status("GET", "/bridges"), 200);
    const packet = { portId: id("red-a/vm1"), packet: "udp" };
    assert.notEqual(await status("POST", "/simulations", packet), 503, "a simulation changes nothing");
    assert.equal(at(await change("/write_version", { version: "v5.4" }), "version"), "v5.4");
    await change("/system_state", { availability: "READWRITE" });
    assert.equal(at(await get("/system_state"), "writeVersion"), "v5.4");
    assert.equal(await status("DELETE", `/chains/${await rig.make("/chains", { name: "c" })}`), 204);
  });

  it("write_version and versions", async () => {
    assert.equal(at(await get("/write_version"), "uri"), `${rig.base}/write_version`);
    assert.equal(violation(await rig.ask("PUT", "/write_version", { body: {} })), "version");
    assert.equal(violation(await rig.ask("PUT", "/write_version", { body: { version: "a b" } })), "version");
    assert.deepEqual(await get("/versions"), []);
    const host = id("h1") as HostId;
    await rig.nsdb.state.setAlive(host);
    const answer = await rig.ask("GET", "/versions", { headers: { accept: media("HostVersion-v1") } });
    assert.deepEqual(answer.json, [{ version: "v5.0", hostId: host, host: `${rig.base}/hosts/${host}` }]);
    await rig.nsdb.state.clearAlive(host);
  });

  it("hosts: made and changed by their weights, deleted when nothing needs them", async () => {
    const host = await rig.make("/hosts", { name: "h9", floodingProxyWeight: "7" });
    const made = await get(`/hosts/${host}`);
    assert.deepEqual(
      [at(made, "name"), at(made, "floodingProxyWeight"), at(made, "containerWeight"), at(made, "containerLimit")],
      ["h9", 7, 1, -1],
    );
    assert.equal(violation(await rig.ask("POST", "/hosts", { body: {} })), "name");
    assert.equal(await status("POST", "/hosts", { id: host, name: "again" }), 409);
    const put = await rig.ask("PUT", `/hosts/${host}`, {
      body: { ...(made as object), name: "other", floodingProxyWeight: "3", enforceContainerLimit: "true" },
    });
    assert.deepEqual([put.status, put.text], [200, ""], "200, not 204");
    const now = await get(`/hosts/${host}`);
    assert.deepEqual(
      [at(now, "name"), at(now, "floodingProxyWeight"), at(now, "enforceContainerLimit")],
      ["h9", 3, true],
      "only the weights",
    );
    assert.equal((await rig.ask("PUT", `/hosts/${host}`, { body: { floodingProxyWeight: 4 } })).status, 200);
    assert.equal(at(await get(`/hosts/${host}`), "enforceContainerLimit"), true, "2015.06 knows one weight");
    for (const [body, property] of [
      [{}, "floodingProxyWeight"],
      [{ floodingProxyWeight: 65536 }, "floodingProxyWeight"],
      [{ floodingProxyWeight: 1, containerLimit: -2 }, "containerLimit"],
      [{ floodingProxyWeight: 1, containerWeight: -1 }, "containerWeight"],
    ] as const)
      assert.equal(violation(await rig.ask("PUT", `/hosts/${host}`, { body })), property);
    assert.equal((await rig.nsdb.hosts.register(host as HostId, "h9")).floodingProxyWeight, 4, "kept by its agent");
    await rig.nsdb.state.setAlive(host as HostId);
    assert.equal(await status("DELETE", `/hosts/${host}`), 403, "alive");
    await rig.nsdb.state.clearAlive(host as HostId);
    assert.equal(await status("DELETE", `/hosts/${id("h1")}`), 403, "a port is bound to it");
    assert.equal(await status("DELETE", `/hosts/${host}`), 200);
    assert.equal(await status("DELETE", `/hosts/${host}`), 404);
    assert.equal(await status("PUT", `/hosts/${host}`, { floodingProxyWeight: 1 }), 404);
  });

  it("every URI of every answer leads somewhere", async () => {
    await rig.make("/traces", { name: "t", deviceType: "ROUTER", deviceId: id("r1") });
    await rig.make("/ip_addr_groups", { name: "g" });
    const seen = new Set<string>();
    const next = [rig.base];
    // What the root document names for others than the virtual network.
    const notHere =
      /\/(mirrors|qos\w*|load_balancers|health_monitors|pools|pool_members|vips|bgp_\w+|vteps|l2insertions|service_\w+|neutron|simulations)$/;
    for (let uri = next.pop(); uri !== undefined; uri = next.pop()) {
      if (seen.has(uri) || uri.includes("{") || uri.endsWith("/events") || uri.endsWith("/link")) continue;
      seen.add(uri);
      const answer = await rig.ask("GET", uri);
      if ([404, 405].includes(answer.status) && notHere.test(uri) && uri.split("/").length === 5) continue;
      assert.equal(answer.status, 200, `${uri}: ${answer.text}`);
      next.push(...[...answer.text.matchAll(/"(http:[^"]+)"/g)].map((m) => String(m[1])));
    }
    assert.ok(seen.size > 60, `${seen.size}`);
  });

  it("logs no defect in all of this", () => {
    assert.deepEqual(rig.log, [`listening on ${rig.url}`]);
  });
});
