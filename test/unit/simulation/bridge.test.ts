import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseFlowMatch, FlowMatch, UNTAGGED } from "#core/flows";
import { buildArpRequest, buildUdp, MAC_BROADCAST } from "#core/packets";
import { type DeviceOptions, TopologyBuilder } from "../../support/topology-builder.ts";
import { ip, mac, type Outcome, Scene } from "../../support/simulation-scene.ts";

const A = "02:00:00:00:00:0a";
const B = "02:00:00:00:00:0b";
const R = "ac:ca:ba:00:00:01";
const PORTS = ["b/a", "b/b", "b/c", "vub/x", "trunk/t", "trunk/t2"];

function frame(to: string, o: { from?: string; vlan?: number } = {}): Uint8Array {
  const ends = { ethSrc: mac(o.from ?? A), ethDst: mac(to), ipSrc: ip("10.0.1.10"), ipDst: ip("10.0.1.11") };
  return buildUdp({ ...ends, srcPort: 1, dstPort: 2, ...(o.vlan === undefined ? {} : { vlans: [o.vlan] }) });
}

const arp = (target: string): Uint8Array =>
  buildArpRequest({ senderMac: mac(A), senderIp: ip("10.0.1.10"), targetIp: ip(target) });

/** Bridge b with three bound ports, and a linked router 10.0.1.1. */
function network(o: DeviceOptions = {}): TopologyBuilder {
  const t = new TopologyBuilder();
  t.bridge("b", o).port("b/a", { host: "h1" }).port("b/b", { host: "h1" }).port("b/c", { host: "h2" });
  t.router("r").routerPort("r/p", "10.0.1.1/24", { mac: R }).port("b/up").link("b/up", "r/p");
  t.route("r", { dst: "10.0.1.0/24", port: "p" });
  return t;
}

const decision = (o: Outcome): string => o.of("bridge-decision")[0]?.decision ?? "none";

describe("a bridge", () => {
  it("sends to the port where the destination was learned, and depends on both entries", () => {
    const s = new Scene(network()).at("b/a", A).at("b/b", B);
    const o = s.send("b/a", frame(B));
    assert.equal(o.verdict, "delivered");
    assert.deepEqual(o.leavesBy(PORTS), ["b/b"]);
    assert.equal(decision(o), "unicast");
    assert.equal(o.ctx.tags.filter((tag) => tag.startsWith("mac ")).length, 2);
    assert.deepEqual(o.ctx.learns, [], "the source is known already");
    assert.deepEqual(o.kinds(), ["packet-received", "port-in", "device-in", "bridge-decision", "port-out"]);
  });

  it("learns an unknown source once, without changing the tables itself", () => {
    const s = new Scene(network()).at("b/b", B);
    const o = s.send("b/a", frame(B));
    assert.deepEqual(o.ctx.learns, [{ bridge: s.t.bridgeId("b"), vlan: 0, mac: mac(A), port: s.t.portId("b/a") }]);
    assert.equal(o.of("mac-learned")[0]?.mac, A);
    assert.deepEqual(s.send("b/a", frame(B)).ctx.learns, o.ctx.learns);
  });

  it("does not unlearn what an administrator wrote into its table", () => {
    const s = new Scene(network()).at("b/b", B);
    s.state.knowMac(s.t.bridgeId("b"), 0, mac(A), s.t.portId("b/c"), true);
    const o = s.send("b/a", frame(B));
    assert.deepEqual([o.ctx.learns, o.of("mac-learned")], [[], []]);
    assert.deepEqual(s.send("b/b", frame(A, { from: B })).leavesBy(PORTS), ["b/c"]);
  });

  it("floods an unknown destination to every other bound port, not to the router", () => {
    const o = new Scene(network()).send("b/a", frame(B));
    assert.equal(o.verdict, "flooded");
    assert.deepEqual(o.leavesBy(PORTS), ["b/b", "b/c"]);
    assert.equal(decision(o), "flood-unknown");
    assert.ok(o.ctx.tags.some((tag) => tag.startsWith("mac?:")) && o.ctx.tags.some((tag) => tag.startsWith("flood:")));
    const notes = o.of("flood")[0]?.ports.map((p) => `${p.port.name} ${p.because}`);
    assert.deepEqual(notes, ["b/a the frame came from here", "b/b takes the frame", "b/c takes the frame"]);
  });

  it("floods a group address", () => {
    assert.equal(decision(new Scene(network()).send("b/a", frame("01:00:5e:00:00:01"))), "flood-multicast");
  });

  it("gives ARP for the linked router's address to the router alone", () => {
    const o = new Scene(network()).send("b/a", arp("10.0.1.1"));
    assert.equal(decision(o), "arp-to-router");
    assert.equal(o.verdict, "consumed");
    assert.equal(o.ctx.generatedPackets.length, 1);
  });

  it("floods ARP for anybody else", () => {
    const o = new Scene(network()).send("b/a", arp("10.0.1.11"));
    assert.equal(decision(o), "flood-arp");
    assert.deepEqual(o.leavesBy(PORTS), ["b/b", "b/c"]);
  });

  it("gives frames for the router's MAC to the router, and does not learn that MAC elsewhere", () => {
    const o = new Scene(network()).send("b/a", frame(R));
    assert.equal(decision(o), "unicast-linked");
    const spoofed = new Scene(network()).send("b/a", frame(B, { from: R }));
    assert.deepEqual(spoofed.ctx.learns, []);
  });

  it("drops a frame from a group address", () => {
    const o = new Scene(network()).send("b/a", frame(B, { from: "01:00:00:00:00:01" }));
    assert.equal(o.verdict, "dropped: multicast-source");
    assert.deepEqual(o.ctx.learns, []);
  });

  it("ends a frame for a MAC on the port it came from, and one from and to the same MAC", () => {
    assert.equal(
      new Scene(network()).at("b/a", B).send("b/a", frame(B)).verdict,
      "dropped: destination-on-ingress-port",
    );
    const loop = new Scene(network()).send("b/a", frame(A));
    assert.equal(loop.verdict, "dropped: destination-on-ingress-port");
    assert.ok(loop.ctx.shortLived);
  });

  it("drops everything while it is administratively down", () => {
    assert.equal(new Scene(network({ up: false })).send("b/a", frame(B)).verdict, "dropped: bridge-admin-down");
  });

  it("drops a flood that no port can take", () => {
    const t = new TopologyBuilder().bridge("b").port("b/a", { host: "h1" }).port("b/b", { host: "h1", active: false });
    t.port("b/c", { host: "h1", up: false });
    const o = new Scene(t).send("b/a", frame(B));
    assert.equal(o.verdict, "dropped: nowhere-to-flood");
    assert.deepEqual(
      o.of("flood")[0]?.ports.map((p) => p.because),
      ["the frame came from here", "its interface is not up", "administratively down"],
    );
  });

  it("delivers a flood to the others when one port's filter refuses it", () => {
    const t = network().chain("no", [{ type: "drop" }]);
    t.port("b/b", { host: "h1", outFilter: "no" });
    const o = new Scene(t).send("b/a", frame(B));
    assert.equal(o.verdict, "flooded");
    assert.deepEqual(o.leavesBy(PORTS), ["b/c"]);
    assert.equal(o.of("drop")[0]?.reason, "filter-drop");
  });

  it("learns the source of a frame that its pre-bridging filter drops", () => {
    const t = network({ inFilter: "no" }).chain("no", [{ type: "drop" }]);
    const o = new Scene(t).send("b/a", frame(B));
    assert.equal(o.verdict, "dropped: filter-drop");
    assert.equal(o.ctx.learns.length, 1);
  });

  it("knows the out-port in the post-bridging filter of a unicast, and none in that of a flood", () => {
    const t = network({ outFilter: "only-b" });
    t.chain("only-b", [{ type: "drop", condition: { outPorts: [t.portId("b/b")] } }]);
    assert.equal(new Scene(t).at("b/b", B).send("b/a", frame(B)).verdict, "dropped: filter-drop");
    assert.equal(new Scene(t).send("b/a", frame(B)).verdict, "flooded");
  });

  it("passes tagged frames by both of its filters, and says so", () => {
    const t = network({ inFilter: "no", outFilter: "no" }).chain("no", [{ type: "drop" }]);
    const o = new Scene(t).at("b/b", B, 5).send("b/a", frame(B, { vlan: 5 }));
    assert.equal(o.verdict, "delivered");
    assert.deepEqual(
      o.of("filter-skipped").map((s) => s.stage),
      ["pre-bridging", "post-bridging"],
    );
  });
});

/** A VLAN-aware bridge: trunk ports, VLAN 5 to bridge vub, VLAN 9 to bridge nine. */
function vlanNetwork(): TopologyBuilder {
  const t = new TopologyBuilder();
  t.bridge("trunk").port("trunk/t", { host: "h1" }).port("trunk/t2", { host: "h2" });
  t.bridge("vub").port("vub/x", { host: "h1" }).port("vub/up");
  t.bridge("nine").port("nine/y", { host: "h1" }).port("nine/up");
  t.port("trunk/v5", { vlan: 5 }).port("trunk/v9", { vlan: 9 });
  return t.link("trunk/v5", "vub/up").link("trunk/v9", "nine/up");
}

const NAMES = ["trunk/t", "trunk/t2", "vub/x", "nine/y"];
const vlans = (o: Outcome): number[] => o.ctx.outputs.map((x) => x.header.vlan);

describe("VLANs", () => {
  it("pops the tag towards the bridge of the VLAN", () => {
    const o = new Scene(vlanNetwork())
      .at("trunk/v5", B, 5)
      .at("vub/x", B)
      .send("trunk/t", frame(B, { vlan: 5 }));
    assert.deepEqual([o.leavesBy(NAMES), vlans(o)], [["vub/x"], [UNTAGGED]]);
    assert.deepEqual(
      o.of("vlan").map((s) => s.operation),
      ["pop"],
    );
  });

  it("pushes the tag towards the trunk", () => {
    const s = new Scene(vlanNetwork()).at("vub/up", B).at("trunk/t", B, 5);
    const o = s.send("vub/x", frame(B));
    assert.deepEqual([o.leavesBy(NAMES), vlans(o)], [["trunk/t"], [5]]);
    assert.deepEqual(
      o.of("vlan").map((step) => step.operation),
      ["push"],
    );
  });

  it("drops a frame whose VLAN is not that of the port it would leave by", () => {
    for (const vlan of [undefined, 9]) {
      const s = new Scene(vlanNetwork()).at("trunk/v5", B, vlan ?? 0);
      assert.equal(s.send("trunk/t", frame(B, vlan === undefined ? {} : { vlan })).verdict, "dropped: vlan-mismatch");
    }
  });

  it("drops a frame from one VLAN's bridge to another's", () => {
    const s = new Scene(vlanNetwork()).at("vub/up", B).at("trunk/v9", B, 5);
    assert.equal(s.send("vub/x", frame(B)).verdict, "dropped: vlan-mismatch");
  });

  it("learns a MAC under the VLAN it is in", () => {
    const o = new Scene(vlanNetwork()).send("trunk/t", frame(B, { vlan: 5 }));
    assert.equal(o.ctx.learns[0]?.vlan, 5);
  });

  it("forks a tagged flood from the trunk: the other trunks with the tag, the VLAN's bridge without, no other VLAN", () => {
    const o = new Scene(vlanNetwork()).send("trunk/t", frame("ff:ff:ff:ff:ff:ff", { vlan: 5 }));
    assert.deepEqual(
      [o.leavesBy(NAMES), vlans(o)],
      [
        ["trunk/t2", "vub/x"],
        [5, UNTAGGED],
      ],
    );
  });

  it("forks a flood from a VLAN's bridge: its own ports without the tag, all trunks with it", () => {
    const t = vlanNetwork().port("vub/z", { host: "h2" });
    const o = new Scene(t).send("vub/x", frame("ff:ff:ff:ff:ff:ff"));
    assert.deepEqual(
      [o.leavesBy([...NAMES, "vub/z"]), vlans(o)],
      [
        ["vub/z", "trunk/t", "trunk/t2"],
        [UNTAGGED, 5, 5],
      ],
    );
  });

  it("keeps an untagged flood on the trunks", () => {
    const o = new Scene(vlanNetwork()).send("trunk/t", frame("ff:ff:ff:ff:ff:ff"));
    assert.deepEqual([o.leavesBy(NAMES), vlans(o)], [["trunk/t2"], [UNTAGGED]]);
  });

  it("shows the inner tag behind a popped one, and installs no flow for it", () => {
    const twice = buildUdp({
      ethSrc: mac(A),
      ethDst: MAC_BROADCAST,
      ipSrc: ip("10.0.1.10"),
      ipDst: ip("10.0.1.11"),
      srcPort: 1,
      dstPort: 2,
      vlans: [5, 7],
    });
    const m = new FlowMatch();
    parseFlowMatch(twice, m);
    assert.equal(m.vlan, 5);
    const o = new Scene(vlanNetwork()).send("trunk/t", twice);
    assert.deepEqual(vlans(o), [5, 7]);
    assert.notEqual(o.ctx.seen & (1 << 17), 0);
  });
});
