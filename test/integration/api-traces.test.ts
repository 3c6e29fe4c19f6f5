import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ChainId } from "#core/base";
import { CONDITION_KEYS } from "#core/topology";
import { applySmallNetwork, at, listMedia, media, type Rig, startRig } from "./api-support.ts";

const ITEM = media("TraceRequest-v1");
const LIST = listMedia("TraceRequest-v1");
const UNKNOWN = "11111111-2222-4333-8444-555555555555";
const MAX = 9223372036854775807n;

describe("traces (midonet-rest 6.1, 6.2, 9)", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  const id = (name: string): string => ids.get(name) ?? assert.fail(`no ${name}`);
  const make = (fields: object): Promise<string> =>
    rig.make("/traces", { name: "t", deviceType: "ROUTER", deviceId: id("r1"), ...fields });
  const get = async (trace: string): Promise<unknown> => (await rig.ask("GET", `/traces/${trace}`)).json;
  const refused = async (fields: object): Promise<unknown> => {
    const body = { name: "t", deviceType: "ROUTER", deviceId: id("r1"), ...fields };
    const answer = await rig.ask("POST", "/traces", { body });
    assert.equal(answer.status, 400, answer.text);
    return answer.json;
  };

  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
  });
  after(() => rig.stop());

  it("serves the blueprint's own form: a device URI, no name, everything as text; the UUID comes back", async () => {
    const post = await rig.ask("POST", "/traces", {
      headers: { accept: "*/*", "content-type": "application/json" },
      body: {
        deviceType: "BRIDGE",
        device: `${rig.base}/bridges/${id("red-a")}`,
        condition: "udp and dst port 53",
        limit: "25",
        enabled: "false",
      },
    });
    assert.equal(post.status, 201, post.text);
    const uuid = String(at(post.json, "id"));
    const made = await get(uuid);
    assert.deepEqual(
      [
        at(made, "name"),
        at(made, "deviceId"),
        at(made, "limit"),
        at(made, "enabled"),
        at(made, "condition.tpDst.start"),
      ],
      ["", id("red-a"), 25, false, 53],
    );
    assert.equal((await rig.ask("DELETE", `/traces/${uuid}`)).status, 204);
  });

  it("serves the exchanges of midonet-cli's create, set enabled, list and delete", async () => {
    const own = "0a1b2c3d-0000-4000-8000-0000000000aa";
    const list = await rig.ask("GET", "/traces", { headers: { accept: LIST }, body: "{}" });
    assert.deepEqual([list.status, list.headers["content-type"], list.text], [200, LIST, "[]"]);
    const device = await rig.ask("GET", `/routers/${id("r1")}`, {
      headers: { accept: media("Router-v3") },
      body: "{}",
    });
    assert.equal(device.status, 200);
    assert.equal((await rig.ask("GET", `/bridges/${id("r1")}`, { body: "{}" })).status, 404);

    const post = await rig.ask("POST", "/traces", {
      headers: { "content-type": ITEM },
      body: `{"id": "${own}", "name": "ping", "deviceType": "ROUTER", "deviceId": "${id("r1")}", "condition": {"invNwProto": false, "nwProto": "1", "invNwSrc": false, "nwSrcAddress": "10.0.1.10", "nwSrcLength": 32}, "limit": "10"}`,
    });
    assert.deepEqual([post.status, post.text, post.headers.location], [201, "", `${rig.base}/traces/${own}`]);
    const location = String(post.headers.location);
    const first = await rig.ask("GET", location, { headers: { "content-type": ITEM, accept: ITEM }, body: "{}" });
    assert.deepEqual([first.status, first.headers["content-type"]], [200, ITEM]);
    assert.equal(at(first.json, "limit"), 10);
    assert.equal(at(first.json, "enabled"), false);
    assert.equal(at(first.json, "condition.nwProto"), 1);
    assert.equal(at(first.json, "condition.nwDstLength"), 0);
    assert.equal(at(first.json, "condition.fragmentPolicy"), "any");
    assert.equal(at(first.json, "condition.uri"), null);

    const echo = first.text.replace('"enabled":false', '"enabled":true');
    const put = await rig.ask("PUT", location, { headers: { "content-type": ITEM }, body: echo });
    assert.deepEqual([put.status, put.text], [204, ""]);
    assert.equal(at((await rig.ask("GET", location)).json, "enabled"), true);
    const rules = await rig.nsdb.rules.list(id("in") as ChainId);
    assert.equal(rules.length, 1, "the chain of the bridge is not the router's");

    const listed = await rig.ask("GET", "/traces", { headers: { accept: LIST }, body: "{}" });
    assert.equal(at(listed.json, "0.id"), own);
    const gone = await rig.ask("DELETE", location, { body: "{}" });
    assert.deepEqual([gone.status, gone.text], [204, ""]);
    assert.equal((await rig.ask("GET", location)).status, 404);
  });

  it("keeps limits exact, numbers and texts alike, and defaults to 2^63-1", async () => {
    assert.equal(at(await get(await make({})), "limit"), MAX);
    for (const limit of [MAX, MAX - 1n, 9007199254740993n, 0, 5]) {
      assert.equal(at(await get(await make({ limit })), "limit"), limit);
      const trace = await make({ limit: String(limit) });
      const stored = await rig.ask("GET", `/traces/${trace}`);
      assert.match(stored.text, new RegExp(`"limit":${limit},`));
      const put = await rig.ask("PUT", `/traces/${trace}`, { body: stored.text });
      assert.equal(put.status, 204, put.text);
    }
    assert.equal(at(await refused({ limit: MAX + 1n }), "violations.0.property"), "limit");
    assert.equal(at(await refused({ limit: -1 }), "violations.0.property"), "limit");
    assert.equal(at(await refused({ limit: "many" }), "violations.0.property"), "limit");
  });

  it("takes enabled on POST, and counts anew at each enabling", async () => {
    const trace = await make({ enabled: true });
    assert.equal(at(await get(trace), "enabled"), true);
    const rule = (await rig.nsdb.traces.get(trace)).enabledRule;
    assert.equal((await rig.ask("PUT", `/traces/${trace}`, { body: { enabled: true } })).status, 204);
    assert.equal((await rig.nsdb.traces.get(trace)).enabledRule, rule);
    assert.equal((await rig.ask("PUT", `/traces/${trace}`, { body: { enabled: false } })).status, 204);
    assert.equal(at(await get(trace), "enabled"), false);
    assert.equal((await rig.ask("PUT", `/traces/${trace}`, { body: { enabled: "true" } })).status, 204);
    assert.notEqual((await rig.nsdb.traces.get(trace)).enabledRule, rule);
    await rig.ask("DELETE", `/traces/${trace}`);
  });

  it("accepts the device by URI, by id, and both when they agree", async () => {
    const device = `${rig.base}/bridges/${id("red-a")}`;
    const answer = await rig.ask("POST", "/traces", { body: { name: "by uri", device } });
    assert.equal(answer.status, 201, answer.text);
    const trace = (await rig.ask("GET", String(answer.headers.location))).json;
    assert.equal(at(trace, "deviceType"), "BRIDGE");
    assert.equal(at(trace, "deviceId"), id("red-a"));
    assert.equal(at(trace, "device"), device);
    assert.ok(await make({ deviceType: "BRIDGE", deviceId: id("red-a"), device }));
    assert.equal(at(await refused({ device }), "violations.0.property"), "device");
    assert.equal(at(await refused({ device: "http://elsewhere/chains/1" }), "violations.0.property"), "device");
  });

  it("refuses what is missing with 400 and every field named", async () => {
    const answer = await rig.ask("POST", "/traces", { headers: { "content-type": ITEM }, body: "{}" });
    assert.deepEqual([answer.status, answer.headers["content-type"]], [400, media("Error-v1")]);
    assert.equal(at(answer.json, "code"), 400);
    assert.equal(at(answer.json, "error"), "VALIDATION");
    const properties = (at(answer.json, "violations") as { property: string }[]).map((v) => v.property);
    assert.deepEqual(properties, ["name", "deviceType", "deviceId"]);
    assert.equal(at(await refused({ deviceType: "router" }), "violations.0.property"), "deviceType");
    assert.equal(at(await refused({ id: "tr0" }), "violations.0.property"), "id");
  });

  it("answers 404 for a device that is missing or of another kind, 409 for an id that exists", async () => {
    const post = (fields: object) =>
      rig.ask("POST", "/traces", { body: { name: "t", deviceType: "ROUTER", deviceId: id("r1"), ...fields } });
    assert.equal((await post({ deviceId: UNKNOWN })).status, 404);
    assert.equal((await post({ deviceType: "BRIDGE" })).status, 404);
    assert.equal((await post({ deviceType: "PORT" })).status, 404);
    const trace = await make({});
    const again = await post({ id: trace });
    assert.deepEqual([again.status, at(again.json, "error")], [409, "ALREADY_EXISTS"]);
    assert.match(String(at(again.json, "message")), new RegExp(`trace request ${trace}`));
  });

  it("keeps a client's id, in any case, and its creation time", async () => {
    const own = "ABCDEF01-2345-4678-89AB-CDEF01234567";
    assert.equal(await make({ id: own, creationTimestampMs: "1234567890123" }), own.toLowerCase());
    const trace = await rig.ask("GET", `/traces/${own}`);
    assert.equal(trace.status, 200);
    assert.equal(at(trace.json, "creationTimestampMs"), 1234567890123);
    assert.equal(at(await get(await make({})), "creationTimestampMs"), rig.time.nowMs());
  });

  it("PUT: only enabled may differ; everything else is 409 and named", async () => {
    const condition = { nwProto: 6, nwSrcAddress: "10.0.1.0", nwSrcLength: 24, tpDst: { start: 80, end: 80 } };
    const trace = await make({ condition, limit: 7, creationTimestampMs: 5 });
    const changes: [string, object][] = [
      ["name", { name: "other" }],
      ["deviceType", { deviceType: "BRIDGE" }],
      ["deviceId", { deviceId: id("red-a") }],
      ["device", { device: `${rig.base}/routers/${UNKNOWN}` }],
      ["limit", { limit: "8" }],
      ["creationTimestampMs", { creationTimestampMs: 6 }],
      ["id", { id: UNKNOWN }],
      ["condition.nwProto", { condition: { ...condition, nwProto: 17 } }],
      ["condition.nwSrcLength", { condition: { ...condition, nwSrcLength: 25 } }],
      ["condition.tpDst", { condition: { ...condition, tpDst: { start: 80, end: 81 } } }],
      ["condition.fragmentPolicy", { condition: { ...condition, fragmentPolicy: "unfragmented" } }],
      ["condition.nwProto", { condition: "udp" }],
    ];
    for (const [field, body] of changes) {
      const answer = await rig.ask("PUT", `/traces/${trace}`, { body: { ...body, enabled: true } });
      assert.deepEqual([answer.status, at(answer.json, "error")], [409, "CONFLICT"], `${field}: ${answer.text}`);
      assert.match(String(at(answer.json, "message")), new RegExp(field));
      const properties = (at(answer.json, "violations") as { property: string }[]).map((v) => v.property);
      assert.ok(properties.includes(field), `${field} in ${properties.join()}`);
    }
    assert.equal(at(await get(trace), "enabled"), false, "a refused PUT changes nothing");
  });

  it("PUT: the same condition in other words is the same", async () => {
    const trace = await make({ condition: "tcp and src net 10.0.1.0/24 and dst port 80" });
    const same = [
      {},
      { condition: null },
      { condition: "src net 10.0.1.0/24 and tcp dst port 80" },
      { condition: { ...(at(await get(trace), "condition") as object), fragmentPolicy: "header" } },
      { name: "t", deviceType: "ROUTER", deviceId: id("r1").toUpperCase(), unknown: 1, uri: "x" },
    ];
    for (const body of same) {
      const answer = await rig.ask("PUT", `/traces/${trace}`, { body });
      assert.equal(answer.status, 204, `${JSON.stringify(body)}: ${answer.text}`);
    }
    const answer = await rig.ask("PUT", `/traces/${UNKNOWN}`, { body: { enabled: true } });
    assert.equal(answer.status, 404);
  });

  it("PUT of an L4 port beside the echoed policy is 409 like any other change, not 400", async () => {
    const trace = await make({ condition: { nwProto: 6 } });
    const echo = (await get(trace)) as object;
    const condition = { ...(at(echo, "condition") as object), tpDst: { start: "443", end: "443" } };
    assert.equal(at(condition, "fragmentPolicy"), "any");
    const answer = await rig.ask("PUT", `/traces/${trace}`, { body: { ...echo, condition } });
    assert.equal(answer.status, 409, answer.text);
    const properties = (at(answer.json, "violations") as { property: string }[]).map((v) => v.property);
    assert.deepEqual(properties, ["condition.tpDst", "condition.fragmentPolicy"]);
  });

  it("DELETE of a missing request is 204", async () => {
    assert.equal((await rig.ask("DELETE", `/traces/${UNKNOWN}`, { body: "{}" })).status, 204);
    assert.equal((await rig.ask("DELETE", "/traces/nonsense")).status, 204);
  });

  it("filters the list by tenant, device and enabled", async () => {
    const blue = await rig.make("/bridges", { name: "blue", tenantId: "blue" });
    const port = await rig.make(`/bridges/${blue}/ports`, { type: "Bridge" });
    const onPort = await make({ deviceType: "PORT", deviceId: port, enabled: true });
    const onBridge = await make({ deviceType: "BRIDGE", deviceId: blue });
    const listed = async (query: string): Promise<unknown[]> =>
      ((await rig.ask("GET", `/traces?${query}`)).json as { id: string }[]).map((t) => t.id).sort();
    assert.deepEqual(await listed("tenant_id=blue"), [onPort, onBridge].sort());
    assert.deepEqual(await listed("tenant_id=nobody"), []);
    assert.deepEqual(await listed(`device_id=${port}`), [onPort]);
    assert.deepEqual(await listed("tenant_id=blue&enabled=false"), [onBridge]);
    assert.deepEqual(await listed("tenant_id=blue&enabled=true"), [onPort]);
    assert.equal((await rig.ask("GET", "/traces?enabled=maybe")).status, 400);
    await rig.ask("DELETE", `/bridges/${blue}`);
    assert.deepEqual(await listed("tenant_id=blue"), [], "deleted with its device");
    assert.equal((await rig.ask("GET", `/traces/${onPort}`)).status, 404);
  });

  it("conditions: absent and null match everything, an address without length is that address", async () => {
    for (const fields of [
      {},
      { condition: null },
      { condition: {} },
      { condition: "" },
      { condition: { condInvert: false } },
    ]) {
      const condition = at(await get(await make(fields)), "condition") as Record<string, unknown>;
      assert.equal(condition["condInvert"], false);
      assert.equal(condition["nwProto"], null);
      assert.equal(condition["fragmentPolicy"], "any");
      assert.equal(Object.keys(condition).length, CONDITION_KEYS.length + 1);
    }
    const one = await get(
      await make({ condition: { nwSrcAddress: "10.0.1.10", nwDstAddress: "10.0.2.0", nwDstLength: "24" } }),
    );
    assert.equal(at(one, "condition.nwSrcLength"), 32);
    assert.equal(at(one, "condition.nwDstLength"), 24);
    const nulls = await get(
      await make({ condition: { invNwDst: null, nwSrcLength: null, nwProto: null, tpSrc: null } }),
    );
    assert.equal(at(nulls, "condition.invNwDst"), false);
    const texts = await get(
      await make({ condition: { dlType: "2048", vlan: "5", tpSrc: { start: "100", end: "200" } } }),
    );
    assert.equal(at(texts, "condition.dlType"), 2048);
    assert.deepEqual(at(texts, "condition.tpSrc"), { start: 100, end: 200 });
    assert.equal(at(texts, "condition.fragmentPolicy"), "header");
  });

  it("conditions: an expression is compiled to the object", async () => {
    const trace = await get(await make({ condition: "tcp and src net 10.0.1.0/24 and dst port 80" }));
    assert.equal(at(trace, "condition.nwProto"), 6);
    assert.equal(at(trace, "condition.nwSrcAddress"), "10.0.1.0");
    assert.equal(at(trace, "condition.nwSrcLength"), 24);
    assert.deepEqual(at(trace, "condition.tpDst"), { start: 80, end: 80 });
    const answer = await refused({ condition: "tcp and nonsense" });
    assert.equal(at(answer, "error"), "BAD_EXPRESSION");
  });

  it("conditions: what is wrong is 400 with the path of the field", async () => {
    const wrong: [string, object][] = [
      ["condition.dlSrc", { dlSrc: "02:00:00:00:00" }],
      ["condition.dlDst", { dlDst: "zz:00:00:00:00:01" }],
      ["condition.dlSrcMask", { dlSrc: "02:00:00:00:00:01", dlSrcMask: "ff:ff" }],
      ["condition.dlType", { dlType: 5 }],
      ["condition.nwTos", { nwTos: 256 }],
      ["condition.nwProto", { nwProto: "300" }],
      ["condition.nwSrcAddress", { nwSrcAddress: "10.0.0.256" }],
      ["condition.nwDstLength", { nwDstAddress: "10.0.0.1", nwDstLength: 33 }],
      ["condition.tpSrc", { tpSrc: { start: 9, end: 8 } }],
      ["condition.tpDst.end", { tpDst: { start: 1, end: 70000 } }],
      ["condition.fragmentPolicy", { fragmentPolicy: "some" }],
      ["condition.fragmentPolicy", { fragmentPolicy: "any", tpDst: { start: 1, end: 2 } }],
      ["condition.inPorts[0]", { inPorts: ["port1"] }],
      ["condition.ipAddrGroupSrc", { ipAddrGroupSrc: "group" }],
      ["condition.invNwSrc", { nwSrcAddress: "10.0.0.1", invNwSrc: "perhaps" }],
      ["condition.nwProto", { nwProto: 1.5 }],
      ["condition.tpSrc", { tpSrc: 80 }],
    ];
    for (const [property, condition] of wrong) {
      const answer = await refused({ condition });
      assert.equal(at(answer, "violations.0.property"), property, JSON.stringify(answer));
    }
  });
});
