import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { BridgeId, PortId } from "#core/base";
import { checkStore } from "#core/nsdb";
import { at, clientOf, listMedia, media, type Rig, startRig } from "./api-support.ts";

const UNKNOWN = "11111111-2222-4333-8444-555555555555";
const MAC = "02:00:00:00:00:0a";

describe("MAC and ARP tables (midonet-rest 6.14)", () => {
  let rig: Rig;
  let bridge: BridgeId;
  let port: PortId;
  let vlanPort: PortId;
  const { get, status, violation } = clientOf(() => rig);
  const table = (): string => `/bridges/${bridge}/mac_table`;

  before(async () => {
    rig = await startRig();
    bridge = (await rig.make("/bridges", { name: "b" })) as BridgeId;
    port = (await rig.make(`/bridges/${bridge}/ports`, { type: "Bridge" })) as PortId;
    vlanPort = (await rig.make(`/bridges/${bridge}/ports`, { type: "Bridge", vlanId: 7 })) as PortId;
  });
  after(() => rig.stop());

  it("lists learned and persistent entries together; the persistent one of a MAC counts", async () => {
    const other = (await rig.make(`/bridges/${bridge}/ports`, { type: "Bridge" })) as PortId;
    await rig.nsdb.state.putMac(bridge, { mac: MAC, portId: other, vlan: 0 });
    await rig.nsdb.state.putMac(bridge, { mac: "02:00:00:00:00:0b", portId: other, vlan: 0 });
    const post = await rig.ask("POST", table(), { body: { macAddr: "02:0:0:0:0:a", portId: port } });
    const uri = `${rig.base}${table()}/02-00-00-00-00-0a_${port}`;
    assert.deepEqual([post.status, post.headers.location], [201, uri]);
    assert.deepEqual(await get(uri), { macAddr: MAC, portId: port, vlanId: 0, uri });
    const rows = (await get(table())) as unknown[];
    assert.deepEqual(
      rows.map((r) => [at(r, "macAddr"), at(r, "portId")]),
      [
        [MAC, port],
        ["02:00:00:00:00:0b", other],
      ],
    );
    assert.equal((await rig.ask("POST", table(), { body: { macAddr: MAC, portId: other } })).status, 201);
    assert.equal(await status("GET", uri), 404, "the last one written counts");
    assert.equal(await status("DELETE", `${table()}/02-00-00-00-00-0a_${other}`), 204);
    assert.equal(await status("DELETE", `${table()}/02-00-00-00-00-0a_${other}`), 404);
    assert.equal(await status("DELETE", `${table()}/02-00-00-00-00-0b_${other}`), 204, "a learned one is forgotten");
    assert.deepEqual(await get(table()), []);
  });

  it("tables of VLANs: both ways to them, both versions of the media type", async () => {
    const vlan = `/bridges/${bridge}/vlans/7/mac_table`;
    assert.equal(await status("GET", vlan), 404, "a VLAN without entries");
    const post = await rig.ask("POST", vlan, {
      headers: { "content-type": media("MacPort-v2") },
      body: { macAddr: MAC, portId: vlanPort, vlanId: "7" },
    });
    const uri = `${rig.base}${vlan}/02-00-00-00-00-0a_${vlanPort}`;
    assert.deepEqual([post.status, post.headers.location], [201, uri]);
    await rig.make(table(), { macAddr: MAC, portId: port });
    const listed = async (path: string, version: number): Promise<unknown[]> => {
      const answer = await rig.ask("GET", path, { headers: { accept: listMedia(`MacPort-v${version}`) } });
      assert.equal(answer.status, 200, answer.text);
      return answer.json as unknown[];
    };
    assert.deepEqual(
      (await listed(table(), 2)).map((r) => at(r, "vlanId")),
      [0, 7],
    );
    const first = await listed(table(), 1);
    assert.deepEqual([first.length, Object.keys(first[0] as object)], [1, ["macAddr", "portId", "uri"]]);
    assert.equal((await listed(vlan, 2)).length, 1);
    assert.equal(at(await get(uri), "vlanId"), 7);
    assert.equal(await status("GET", `${table()}/02-00-00-00-00-0a_${vlanPort}`), 404, "without VLAN: untagged");
    assert.equal(await status("GET", `/bridges/${bridge}/vlans/nine/mac_table`), 404);
    assert.equal(await status("GET", `/bridges/${bridge}/vlans/4095/mac_table`), 404);
  });

  it("says what is wrong", async () => {
    const router = await rig.make("/routers", { name: "r" });
    const foreign = await rig.make(`/routers/${router}/ports`, { type: "Router", portSubnet: ["10.0.0.1/24"] });
    for (const [path, body, property] of [
      [table(), { macAddr: "nonsense", portId: port }, "macAddr"],
      [table(), { portId: port }, "macAddr"],
      [table(), { macAddr: MAC }, "portId"],
      [table(), { macAddr: MAC, portId: foreign }, "portId"],
      [table(), { macAddr: MAC, portId: vlanPort }, "vlanId"],
      [table(), { macAddr: MAC, portId: port, vlanId: 3 }, "vlanId"],
      [`/bridges/${bridge}/vlans/8/mac_table`, { macAddr: MAC, portId: vlanPort }, "vlanId"],
      [`/bridges/${bridge}/arp_table`, { ip: "10.0.0", mac: MAC }, "ip"],
      [`/bridges/${bridge}/arp_table`, { ip: "10.0.0.1", mac: "x" }, "mac"],
      [`/bridges/${bridge}/arp_table`, {}, "ip"],
    ] as const) {
      const answer = await rig.ask("POST", path, { body });
      assert.deepEqual([answer.status, violation(answer)], [400, property], answer.text);
    }
    assert.equal(await status("POST", table(), { macAddr: MAC, portId: UNKNOWN }), 404);
    assert.equal(await status("POST", `/bridges/${UNKNOWN}/mac_table`, { macAddr: MAC, portId: port }), 404);
    assert.equal(await status("GET", `/bridges/${UNKNOWN}/mac_table`), 404);
    assert.equal(await status("GET", `${table()}/02-00_${port}`), 400, "a bad MAC in the path");
    assert.equal(await status("GET", `${table()}/02-00-00-00-00-0f_${port}`), 404);
  });

  it("ARP entries", async () => {
    const arp = `/bridges/${bridge}/arp_table`;
    const post = await rig.ask("POST", arp, {
      headers: { "content-type": media("IP4Mac-v1") },
      body: { ip: "10.0.1.10", mac: MAC },
    });
    const uri = `${rig.base}${arp}/10.0.1.10_02-00-00-00-00-0a`;
    assert.deepEqual([post.status, post.headers.location], [201, uri]);
    assert.deepEqual(await get(uri), { ip: "10.0.1.10", mac: MAC, uri });
    assert.equal(((await get(arp)) as unknown[]).length, 1);
    assert.deepEqual(
      [await status("DELETE", uri), await status("DELETE", uri), await status("GET", uri)],
      [204, 204, 404],
    );
  });

  it("an entry goes with its port, and with its bridge", async () => {
    assert.equal(await status("DELETE", `/ports/${vlanPort}`), 204);
    assert.equal(await status("GET", `/bridges/${bridge}/vlans/7/mac_table`), 404);
    assert.deepEqual(await checkStore(rig.nsdb.store), []);
    assert.equal(await status("DELETE", `/bridges/${bridge}`), 204);
    assert.deepEqual(await checkStore(rig.nsdb.store), []);
  });

  it("logs no defect in all of this", () => {
    assert.deepEqual(rig.log, [`listening on ${rig.url}`]);
  });
});
