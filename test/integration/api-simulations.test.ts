import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { simulationAnswer } from "#core/api-contract";
import { type BridgeId, hex, type HostId, type PortId, type RouterId } from "#core/base";
import { buildUdp, type Ipv4, type Mac } from "#core/packets";
import { applySmallNetwork, at, type Rig, SMALL_NETWORK, startRig } from "./api-support.ts";

describe("simulations and topology documents", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  const id = (name: string): string => ids.get(name) ?? assert.fail(`no ${name}`);
  const simulate = async (packet: string, port: string = "red-a/vm1"): Promise<unknown> => {
    const answer = await rig.ask("POST", "/simulations", { body: { port, packet } });
    assert.equal(answer.status, 200, answer.text);
    simulationAnswer.parse(answer.json);
    assert.equal(at(answer.json, "simulated"), true);
    assert.ok(!answer.text.includes('"owner"'));
    return answer.json;
  };
  const kinds = (trace: unknown): unknown[] =>
    (at(trace, "segments.0.steps") as readonly unknown[]).map((s) => at(s, "kind"));
  const step = (trace: unknown, kind: string): unknown =>
    (at(trace, "segments.0.steps") as readonly unknown[]).find((s) => at(s, "kind") === kind);

  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
    await rig.nsdb.state.setPortActive(id("red-a/vm1") as PortId, id("h1") as HostId);
    await rig.nsdb.state.setPortActive(id("red-b/vm2") as PortId, id("h2") as HostId);
  });
  after(() => rig.stop());

  it("says what it does not know instead of asking", async () => {
    const trace = await simulate("icmp 10.0.1.10 > 10.0.2.20");
    assert.equal(at(trace, "verdict"), "unknown");
    assert.equal(at(trace, "completeness.state"), "unknown");
    assert.equal(at(step(trace, "next-hop"), "source"), "asked");
    assert.match(String(at(trace, "why")), /router r1 does not know the MAC address of 10\.0\.2\.20/);
    assert.equal(at(step(trace, "verdict"), "verdict"), "unknown");
  });

  it("goes the packet's way by the tables in the store", async () => {
    const mac = "02:00:00:00:00:22";
    await rig.nsdb.state.putArp(id("r1") as RouterId, { ip: "10.0.2.20", mac, lastArpMs: 0, staleMs: 0, expiryMs: 0 });
    await rig.nsdb.state.putMac(id("red-b") as BridgeId, { mac, vlan: 0, portId: id("red-b/vm2") as PortId });
    const trace = await simulate("icmp 10.0.1.10 > 10.0.2.20");
    assert.equal(at(trace, "verdict"), "delivered");
    assert.equal(at(trace, "why"), "Would be delivered to port red-b/vm2.");
    assert.equal(at(trace, "completeness.state"), "complete");
    assert.equal(at(step(trace, "next-hop"), "mac"), mac);
    assert.equal(at(step(trace, "emit"), "where"), "remote");
    assert.equal(at(step(trace, "emit"), "hostName"), "h2");
    assert.equal(kinds(trace)[0], "packet-received");
    assert.ok(kinds(trace).includes("ttl") && kinds(trace).includes("route-lookup") && kinds(trace).includes("rule"));
    assert.equal(at(step(trace, "rule"), "failedField"), "nwProto");
    assert.equal(at(trace, "key.ethDst"), "02:00:00:00:01:01", "the router's, as a host behind the port would send it");
    assert.deepEqual((await rig.nsdb.state.macs(id("red-a") as BridgeId, 0)).length, 0, "it changes nothing");
  });

  it("takes frames as hex digits and ports by UUID", async () => {
    const frame = buildUdp({
      ethSrc: 0x0200_0000_0011 as Mac,
      ethDst: 0x0200_0000_0101 as Mac,
      ipSrc: 0x0a00010a as Ipv4,
      ipDst: 0x0a000214 as Ipv4,
      srcPort: 4000,
      dstPort: 53,
    });
    const trace = await simulate(hex(frame), id("red-a/vm1").toUpperCase());
    assert.equal(at(trace, "verdict"), "delivered");
    assert.equal(at(trace, "key.dstPort"), 53);
  });

  it("shows the rule that drops, an ARP answer and a flood", async () => {
    const dropped = await simulate("tcp 10.0.1.10:1234 > 10.0.2.20:23");
    assert.deepEqual([at(dropped, "verdict"), at(dropped, "dropReason")], ["dropped", "filter-drop"]);
    assert.match(String(at(dropped, "why")), /rule 1 \(drop\) of chain in matched/);
    const arp = await simulate("arp who-has 10.0.1.1 tell 10.0.1.10");
    assert.equal(at(arp, "verdict"), "consumed");
    assert.equal(at(step(arp, "answer"), "what"), "arp-reply");
    const unknown = await simulate("udp 10.0.2.9:1 > 10.0.2.77:2", "vm2");
    assert.ok(kinds(unknown).includes("flood"));
    const noRoute = await simulate("udp 10.0.1.10:1 > 203.0.113.1:2");
    assert.deepEqual([at(noRoute, "verdict"), at(noRoute, "dropReason")], ["dropped", "no-route"]);
  });

  it("counts against no trace request", async () => {
    const trace = await rig.make("/traces", {
      name: "all",
      deviceType: "ROUTER",
      deviceId: id("r1"),
      enabled: true,
      limit: 1,
    });
    await simulate("icmp 10.0.1.10 > 10.0.2.20");
    assert.deepEqual(at((await rig.ask("GET", `/traces/${trace}/flows`)).json, "flows"), []);
    await rig.ask("DELETE", `/traces/${trace}`);
  });

  it("refuses what it cannot simulate", async () => {
    const wrong: [object, number, string][] = [
      [{}, 400, "VALIDATION"],
      [{ port: "red-a/vm1" }, 400, "VALIDATION"],
      [{ port: "red-a/nobody", packet: "icmp 10.0.1.1 > 10.0.1.2" }, 404, "NOT_FOUND"],
      [{ port: id("r1"), packet: "icmp 10.0.1.1 > 10.0.1.2" }, 404, "NOT_FOUND"],
      [{ port: "up", packet: "icmp 10.0.1.1 > 10.0.1.2" }, 400, "VALIDATION"],
      [{ port: "vm1", packet: "icmp 10.0.1.1" }, 400, "BAD_EXPRESSION"],
      [{ port: "vm1", packet: "00ff" }, 400, "BAD_EXPRESSION"],
    ];
    for (const [body, status, error] of wrong) {
      const answer = await rig.ask("POST", "/simulations", { body });
      assert.deepEqual([answer.status, at(answer.json, "error")], [status, error], answer.text);
    }
  });

  it("applies a topology document once, says so, and shows the records", async () => {
    const again = await rig.ask("POST", "/topology", { body: SMALL_NETWORK });
    assert.equal(again.status, 200, again.text);
    assert.ok(!/"created":[1-9]/.test(again.text), again.text);
    const topology = (await rig.ask("GET", "/topology")).json;
    assert.deepEqual((at(topology, "bridges") as unknown[]).map((b) => String(at(b, "name"))).sort(), [
      "red-a",
      "red-b",
    ]);
    assert.equal(at(topology, "chains.0.rules.0.type"), "drop");
    const wrong = await rig.ask("POST", "/topology", { body: { bridges: [{ name: "x", inFilter: "nope" }], more: 1 } });
    assert.deepEqual([wrong.status, at(wrong.json, "error")], [400, "VALIDATION"]);
    assert.ok((at(wrong.json, "violations") as unknown[]).length >= 2, "every mistake at once");
  });
});
