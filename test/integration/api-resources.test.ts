import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { CONDITION_KEYS } from "#core/topology";
import { applySmallNetwork, clientOf, at, media, type Rig, startRig } from "./api-support.ts";

const UNKNOWN = "11111111-2222-4333-8444-555555555555";

describe("resources of midonet-rest section 6", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  const id = (name: string): string => ids.get(name) ?? assert.fail(`no ${name}`);
  const { get, status, violation, change } = clientOf(() => rig);

  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
  });
  after(() => rig.stop());

  it("bridges: create, filter, change, delete with their ports", async () => {
    const chain = await rig.make("/chains", { name: "c" });
    const bridge = await rig.make("/bridges", { tenantId: "t1", name: "net-a" });
    const made = await get(`/bridges/${bridge}`);
    assert.equal(at(made, "adminStateUp"), true);
    assert.equal(at(made, "inboundFilter"), null);
    assert.deepEqual(at(made, "vxLanPortIds"), []);
    assert.equal(at(made, "ports"), `${rig.base}/bridges/${bridge}/ports`);
    assert.equal(at(made, "vlanMacTableTemplate"), `${rig.base}/bridges/${bridge}/vlans/{vlanId}/mac_table`);
    const changed = await change(`/bridges/${bridge}`, { inboundFilterId: chain, adminStateUp: "false", id: UNKNOWN });
    assert.equal(at(changed, "inboundFilter"), `${rig.base}/chains/${chain}`);
    assert.deepEqual([at(changed, "adminStateUp"), at(changed, "id")], [false, bridge]);
    assert.equal(await status("PUT", `/bridges/${bridge}`, { name: "x", inboundFilterId: UNKNOWN }), 404);
    assert.equal(await status("PUT", `/bridges/${UNKNOWN}`, { name: "x" }), 404);
    assert.equal(at(await get("/bridges?tenant_id=t1"), "0.id"), bridge);
    assert.deepEqual(await get("/bridges?tenant_id=t2"), []);
    assert.equal(
      violation(await rig.ask("PUT", `/bridges/${bridge}`, { body: { vxLanPortIds: [UNKNOWN] } })),
      "vxLanPortIds",
    );
    assert.equal(await status("POST", "/bridges", { id: bridge }), 409);
    assert.equal(violation(await rig.ask("POST", "/bridges", { body: { name: "x".repeat(256) } })), "name");
    const port = await rig.make(`/bridges/${bridge}/ports`, { type: "Bridge", vlanId: "7" });
    assert.equal(at(await get(`/ports/${port}`), "vlanId"), 7);
    assert.equal(at(await change(`/bridges/${bridge}`, { inboundFilterId: null }), "inboundFilterId"), null);
    assert.deepEqual([await status("DELETE", `/bridges/${bridge}`), await status("GET", `/ports/${port}`)], [204, 404]);
    assert.equal(await status("DELETE", `/bridges/${bridge}`), 404, "bridges: not idempotent, as in MidoNet");
    assert.equal(await status("DELETE", `/chains/${chain}`), 204);
  });

  it("routers and their ports: subnets in both forms, a Local route, a MAC", async () => {
    const router = await rig.make("/routers", { name: "rtr" });
    assert.equal(at(await get(`/routers/${router}`), "asNumber"), 0);
    assert.equal(at(await change(`/routers/${router}`, { asNumber: "64512" }), "asNumber"), 64512);
    assert.equal(violation(await rig.ask("POST", "/routers", { body: { asNumber: -1 } })), "asNumber");
    const ports = `/routers/${router}/ports`;
    const bySubnet = await rig.make(ports, { type: "Router", portSubnet: ["10.9.1.1/24"] });
    const one = await get(`/ports/${bySubnet}`);
    assert.deepEqual(
      [at(one, "portAddress"), at(one, "networkAddress"), at(one, "networkLength"), at(one, "portSubnet")],
      ["10.9.1.1", "10.9.1.0", 24, ["10.9.1.1/24"]],
    );
    assert.match(String(at(one, "portMac")), /^ac:ca:ba(:[0-9a-f]{2}){3}$/);
    const byAddress = await rig.make(ports, {
      type: "ExteriorRouter",
      portAddress: "10.9.2.1",
      networkAddress: "10.9.2.0",
      networkLength: "24",
      portMac: "02:0:0:0:9:2",
    });
    assert.equal(at(await get(`/ports/${byAddress}`), "portMac"), "02:00:00:00:09:02");
    const routes = (await get(`/routers/${router}/routes`)) as unknown[];
    assert.deepEqual(
      routes
        .map((r) => [at(r, "type"), at(r, "dstNetworkAddr"), at(r, "learned")])
        .sort((a, b) => (String(a[1]) < String(b[1]) ? -1 : 1)),
      [
        ["Local", "10.9.1.1", false],
        ["Local", "10.9.2.1", false],
      ],
    );
    const moved = await change(`/ports/${bySubnet}`, { portSubnet: ["10.9.3.1/25"] });
    assert.deepEqual([at(moved, "portAddress"), at(moved, "networkLength")], ["10.9.3.1", 25]);
    assert.equal(at(await change(`/ports/${bySubnet}`, { vifId: UNKNOWN }), "vifId"), UNKNOWN);
    const back = await change(`/ports/${bySubnet}`, { portAddress: "10.9.3.2" });
    assert.deepEqual(at(back, "portSubnet"), ["10.9.3.2/25"]);
    assert.equal(at(back, "portMac"), at(one, "portMac"), "kept");
    for (const [body, property] of [
      [{ type: "Bridge" }, "type"],
      [{}, "type"],
      [{ type: "Vxlan" }, "type"],
      [{ type: "Router", portAddress: "10.0.0.300", networkAddress: "10.0.0.0", networkLength: 24 }, "portAddress"],
      [{ type: "Router", portAddress: "10.0.0.3", networkAddress: "10.0.1.0", networkLength: 24 }, "portAddress"],
      [{ type: "Router", portAddress: "10.0.0.3", networkLength: 33 }, "networkLength"],
      [{ type: "Router", portSubnet: ["10.0.0.1/x"] }, "portSubnet"],
      [{ type: "Router", portMac: "01:00:00:00:00:01" }, "portMac"],
    ] as const) {
      const answer = await rig.ask("POST", ports, { body });
      assert.deepEqual([answer.status, violation(answer)], [400, property], answer.text);
    }
    assert.equal(await status("DELETE", `/routers/${router}`), 204);
    assert.equal(await status("DELETE", `/routers/${router}`), 204, "routers: idempotent");
    assert.equal(await status("GET", `/ports/${bySubnet}`), 404);
  });

  it("ports: link and unlink, as `set peer` and `clear peer` do it", async () => {
    const bridge = await rig.make("/bridges", { name: "b" });
    const router = await rig.make("/routers", { name: "r" });
    const a = await rig.make(`/bridges/${bridge}/ports`, { type: "Bridge" });
    const b = await rig.make(`/routers/${router}/ports`, { type: "Router", portSubnet: ["10.8.0.1/24"] });
    const port = (await get(`/ports/${a}`)) as object;
    assert.equal(at(port, "link"), `${rig.base}/ports/${a}/link`);
    const link = { headers: { "content-type": media("PortLink-v1") }, body: { ...port, peerId: b } };
    assert.equal((await rig.ask("POST", `/ports/${a}/link`, link)).status, 201);
    const linked = (await get(`/ports/${a}`)) as object;
    assert.deepEqual([at(linked, "peerId"), at(linked, "peer")], [b, `${rig.base}/ports/${b}`]);
    assert.equal(await status("PUT", `/ports/${a}`, { ...linked, peerId: null }), 204);
    assert.equal(at(await get(`/ports/${b}`), "peerId"), a, "peerId is set by link only");
    assert.equal(at(await get(`/bridges/${bridge}/peer_ports`), "0.id"), b);
    assert.equal(at(await get(`/routers/${router}/peer_ports`), "0.id"), a);
    assert.equal(await status("POST", `/ports/${a}/link`, { peerId: b }), 409);
    assert.equal(await status("POST", `/ports/${a}/link`, { peerId: UNKNOWN }), 404);
    assert.equal(await status("POST", `/ports/${a}/link`, {}), 400);
    assert.equal(await status("DELETE", `/ports/${b}/link`), 204);
    assert.equal(await status("DELETE", `/ports/${b}/link`), 204);
    assert.equal(await status("DELETE", `/ports/${UNKNOWN}/link`), 404);
    assert.equal(at(await get(`/ports/${a}`), "peerId"), null);
    assert.equal(await status("DELETE", `/ports/${a}`), 204);
    assert.equal(await status("DELETE", `/ports/${a}`), 404);
    assert.equal(((await get("/ports?tenant_id=x")) as unknown[]).length, 7);
  });

  it("chains and rules: positions, all condition fields, no trace rules by hand", async () => {
    const chain = await rig.make("/chains", { name: "pre-filter", tenantId: "t1" });
    const other = await rig.make("/chains", { name: "other" });
    const rules = `/chains/${chain}/rules`;
    const accept = await rig.make(rules, { type: "accept", nwProto: "1" });
    const drop = await rig.make(rules, { type: "drop", position: "2" });
    const jump = await rig.make(rules, { type: "jump", jumpChainId: other, jumpChainName: null });
    const list = (await get(rules)) as unknown[];
    assert.deepEqual(
      list.map((r) => [at(r, "id"), at(r, "position")]),
      [
        [jump, 1],
        [accept, 2],
        [drop, 3],
      ],
    );
    assert.deepEqual([at(list[0], "jumpChainName"), at(list[0], "action")], ["other", "JUMP"]);
    const rule = (await get(`/rules/${accept}`)) as object;
    for (const key of CONDITION_KEYS) assert.ok(key in rule, key);
    assert.deepEqual([at(rule, "nwProto"), at(rule, "chainId"), at(rule, "position")], [1, chain, 2]);
    const nat = await rig.make(rules, {
      type: "snat",
      flowAction: "accept",
      natTargets: [{ addressFrom: "10.0.0.1", addressTo: "10.0.0.5", portFrom: "1024", portTo: 65535 }],
    });
    assert.equal(at(await get(`/rules/${nat}`), "natTargets.0.portFrom"), 1024);
    const redirect = { type: "l2_transform", flowAction: "redirect", targetPortId: id("red-a/vm1"), ingress: "true" };
    const l2 = await get(`/rules/${await rig.make(rules, { ...redirect, pushVlan: "12" })}`);
    assert.deepEqual(
      ["flowAction", "pushVlan", "popVlan", "targetPortId", "ingress", "failOpen"].map((f) => at(l2, f)),
      ["redirect", 12, false, id("red-a/vm1"), true, false],
    );
    assert.equal(await status("POST", rules, { ...redirect, targetPortId: UNKNOWN }), 404);
    assert.deepEqual([at(rule, "pushVlan"), at(rule, "flowAction"), at(rule, "natTargets")], [null, null, null]);
    for (const [body, property] of [
      [{ ...redirect, targetPortId: null }, "targetPortId"],
      [{ ...redirect, flowAction: "return" }, "flowAction"],
      [{ ...redirect, pushVlan: 65536 }, "pushVlan"],
      [
        { type: "dnat", flowAction: "redirect", natTargets: [{ addressFrom: "10.0.0.1", addressTo: "10.0.0.1" }] },
        "flowAction",
      ],
      [{ type: "rev_snat" }, "flowAction"],
      [{ type: "trace", requestId: UNKNOWN }, "type"],
      [{}, "type"],
      [{ type: "allow" }, "type"],
      [{ type: "drop", position: 0 }, "position"],
      [{ type: "drop", position: 9 }, "position"],
      [{ type: "jump" }, "jumpChainId"],
      [{ type: "drop", nwSrcAddress: "1.2.3" }, "nwSrcAddress"],
      [{ type: "snat", flowAction: "accept" }, "natTargets"],
    ] as const) {
      const answer = await rig.ask("POST", rules, { body });
      assert.deepEqual([answer.status, violation(answer)], [400, property], answer.text);
    }
    assert.equal(await status("POST", rules, { type: "jump", jumpChainId: UNKNOWN }), 404);
    assert.equal(at(await get("/chains?tenant_id=t1"), "0.id"), chain);
    assert.deepEqual([await status("DELETE", `/rules/${drop}`), await status("DELETE", `/rules/${drop}`)], [204, 404]);
    assert.deepEqual([await status("DELETE", `/chains/${other}`), await status("GET", `/rules/${jump}`)], [204, 404]);
    assert.deepEqual(
      [await status("DELETE", `/chains/${chain}`), await status("DELETE", `/chains/${chain}`)],
      [204, 404],
    );
  });

  it("the rule of an enabled trace is visible in its chain, and cannot be told from outside to be another", async () => {
    const trace = await rig.make("/traces", {
      name: "t",
      deviceType: "ROUTER",
      deviceId: id("r1"),
      enabled: true,
      limit: "9223372036854775807",
    });
    const chain = String(at(await get(`/routers/${id("r1")}`), "inboundFilterId"));
    assert.equal(at(await get(`/chains/${chain}`), "name"), `TRACE_REQUEST_CHAIN_${trace}`);
    const rule = at(await get(`/chains/${chain}/rules`), "0");
    assert.deepEqual([at(rule, "type"), at(rule, "requestId")], ["trace", trace]);
    assert.equal(at(rule, "limit"), 9223372036854775807n);
    assert.equal(await status("DELETE", `/traces/${trace}`), 204);
    assert.equal(await status("GET", `/chains/${chain}`), 404);
  });

  it("routes", async () => {
    const routes = `/routers/${id("r1")}/routes`;
    const body = {
      type: "Normal",
      srcNetworkAddr: "0.0.0.0",
      srcNetworkLength: 0,
      dstNetworkAddr: "203.0.113.0",
      dstNetworkLength: "24",
      nextHopPort: id("r1/a"),
      nextHopGateway: "10.0.1.254",
      weight: "100",
      attributes: "mine",
    };
    const route = await rig.make(routes, body);
    const made = await get(`/routes/${route}`);
    assert.deepEqual([at(made, "weight"), at(made, "dstNetworkLength"), at(made, "routerId")], [100, 24, id("r1")]);
    assert.equal(at(made, "attributes"), "mine");
    for (const [changes, property] of [
      [{ srcNetworkAddr: null }, "srcNetworkAddr"],
      [{ type: "Static" }, "type"],
      [{ nextHopPort: null }, "nextHopPort"],
      [{ nextHopPort: id("red-a/vm1") }, "nextHopPort"],
      [{ weight: -1 }, "weight"],
      [{ dstNetworkLength: 33 }, "dstNetworkLength"],
    ] as const) {
      const answer = await rig.ask("POST", routes, { body: { ...body, ...changes } });
      assert.deepEqual([answer.status, violation(answer)], [400, property], answer.text);
    }
    assert.equal(await status("PUT", `/routes/${route}`, body), 405);
    assert.deepEqual(
      [await status("DELETE", `/routes/${route}`), await status("DELETE", `/routes/${route}`)],
      [204, 204],
    );
  });

  it("logs no defect in all of this", () => {
    assert.deepEqual(rig.log, [`listening on ${rig.url}`]);
  });
});
