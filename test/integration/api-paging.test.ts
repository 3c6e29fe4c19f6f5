import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { allRoutes, stringifyExactJson } from "#core/api-contract";
import { applySmallNetwork, at, clientOf, type Rig, startRig } from "./api-support.ts";

describe("lists in pages", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  const id = (name: string): string => ids.get(name) ?? assert.fail(`no ${name}`);
  const { get, violation } = clientOf(() => rig);
  const keyOf = (item: unknown): string => decodeURIComponent(String(at(item, "uri")).split("/").at(-1) ?? "");

  /** Follows `Link` from page to page, as a client would. */
  const walk = async (path: string): Promise<unknown[][]> => {
    const pages: unknown[][] = [];
    let next: string | undefined = path;
    while (next !== undefined) {
      const answer = await rig.ask("GET", next);
      assert.equal(answer.status, 200, answer.text);
      pages.push(answer.json as unknown[]);
      next = /^<(http:.*)>; rel="next"$/.exec(String(answer.headers["link"] ?? ""))?.[1];
    }
    return pages;
  };

  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
    for (let i = 0; i < 7; i++) {
      await rig.make("/bridges", { name: `b${i}`, tenantId: "green" });
      await rig.make(`/chains/${id("in")}/rules`, { type: "accept", position: 1, nwProto: i + 1 });
      await rig.make("/traces", { name: `t${i}`, deviceType: "ROUTER", deviceId: id("r1"), enabled: i === 3 });
    }
  });
  after(() => rig.stop());

  it("a list is a plain array unless it is asked for a page", async () => {
    const answer = await rig.ask("GET", "/bridges");
    assert.equal((answer.json as unknown[]).length, 9);
    assert.equal(answer.headers["link"], undefined);
  });

  it("pages fit together, keep their filters, and are in the order of the ids", async () => {
    const pages = await walk("/bridges?tenant_id=green&limit=3");
    assert.deepEqual(
      pages.map((p) => p.length),
      [3, 3, 1],
    );
    const keys = pages.flat().map(keyOf);
    assert.deepEqual(keys, [...keys].sort());
    assert.equal(new Set(keys).size, 7);
    const rest = (await get(`/bridges?tenant_id=green&marker=${keys[4]}`)) as unknown[];
    assert.deepEqual(rest.map(keyOf), keys.slice(5));
    const exact = await walk("/bridges?tenant_id=green&limit=7");
    assert.equal(exact.length, 1, "no page after the last");
  });

  it("a page goes on after an object that was deleted meanwhile", async () => {
    const [first, second] = (await get("/bridges?limit=2")) as unknown[];
    assert.equal((await rig.ask("DELETE", String(at(second, "uri")))).status, 204);
    const next = (await get(`/bridges?limit=1&marker=${keyOf(second)}`)) as unknown[];
    assert.ok(keyOf(next[0]) > keyOf(second) && keyOf(second) > keyOf(first));
  });

  it("rules stay in their order", async () => {
    const chain = `/chains/${id("in")}/rules`;
    const all = ((await get(chain)) as unknown[]).map(keyOf);
    const pages = await walk(`${chain}?limit=3`);
    assert.deepEqual(pages.flat().map(keyOf), all);
    assert.deepEqual(
      pages.flat().map((r) => at(r, "position")),
      all.map((_, i) => i + 1),
    );
    const wrong = await rig.ask("GET", `${chain}?marker=${id("in")}`);
    assert.deepEqual([wrong.status, violation(wrong)], [400, "marker"]);
  });

  it("traces come with their filters", async () => {
    const pages = await walk("/traces?limit=2&tenant_id=red&enabled=false");
    assert.deepEqual(
      pages.map((p) => p.length),
      [2, 2, 2],
    );
    assert.equal((await walk(`/traces?limit=2&device_id=${id("r1")}`)).flat().length, 7);
  });

  it("says what is wrong with a page", async () => {
    for (const limit of ["0", "-1", "many", "10001", "1&limit=2"]) {
      const answer = await rig.ask("GET", `/routers?limit=${limit}`);
      assert.deepEqual([answer.status, violation(answer)], [400, "limit"], answer.text);
    }
  });

  it("every list has pages: of one object each, they are the whole list", async () => {
    const group = await rig.make("/ip_addr_groups", { name: "g" });
    for (const addr of ["10.0.0.1", "2001:db8::1"])
      await rig.make(`/ip_addr_groups/${group}/ip_addrs`, { version: addr.includes(":") ? 6 : 4, addr });
    const ofBridge = new Set(["listMacs", "listArp", "listVxlanPorts", "listBridgePorts", "listBridgePeerPorts"]);
    let walked = 0;
    for (const [operation, route] of allRoutes()) {
      if (route.paging === undefined || operation === "listVlanMacs") continue;
      const { path } = route;
      const named = path.includes("/routers/{id}")
        ? id("r1")
        : path.includes("/chains/")
          ? id("in")
          : path.includes("/hosts/{id}")
            ? id("h1")
            : path.includes("/ip_addr_groups/")
              ? group
              : path.includes("/ports/{id}")
                ? id("red-a/vm1")
                : path.includes("/tunnel_zones/")
                  ? keyOf(((await get("/tunnel_zones")) as unknown[])[0])
                  : ofBridge.has(operation)
                    ? id("red-a")
                    : path.includes("/port_groups/{id}")
                      ? await rig.make("/port_groups", { name: "pg" })
                      : "";
      const url = path.replace("/midonet-api", "").replace("{id}", named);
      const all = (await get(url)) as unknown[];
      const pages = await walk(`${url}?limit=1`);
      assert.equal(pages.flat().length, all.length, operation);
      assert.equal(new Set(pages.flat().map((item) => stringifyExactJson(item))).size, all.length, operation);
      walked++;
    }
    assert.ok(walked >= 20, `${walked} lists`);
  });
});
