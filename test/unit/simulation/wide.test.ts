import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { completeMask, F, fieldNames } from "#core/flows";
import { buildUdp, type Ipv4, type Mac } from "#core/packets";
import { CLOSED_GATE, PacketContext, Simulation } from "#core/simulation";
import type { Condition } from "#core/topology";
import { ip, mac, Scene } from "../../support/simulation-scene.ts";
import { TopologyBuilder } from "../../support/topology-builder.ts";

const A = "02:00:00:00:00:0a";
const B = "02:00:00:00:00:0b";

function bridge(filter: readonly Condition[] = []): Scene {
  const t = new TopologyBuilder();
  t.chain(
    "c",
    filter.map((condition) => ({ type: "drop", condition })),
  );
  t.bridge("b", filter.length === 0 ? {} : { inFilter: "c" });
  t.port("b/a", { host: "h1" }).port("b/b", { host: "h1" });
  return new Scene(t).at("b/a", A).at("b/b", B);
}

/** The fields (and leading address bits) that the flow of an untraced packet compares. */
function flowOf(s: Scene, from: string, frame: Uint8Array): { fields: string[]; src: number; dst: number } {
  const ctx = new PacketContext(s.view).begin(frame, s.t.portId(from), false);
  new Simulation(s.view, s.state, CLOSED_GATE).run(ctx);
  assert.equal(ctx.verdict, "delivered");
  const mask = completeMask(ctx.original, ctx.seen, ctx.nwSrcBits, ctx.nwDstBits);
  return { fields: fieldNames(mask.fields), src: mask.nwSrcBits, dst: mask.nwDstBits };
}

const udp = (to: { mac: Mac; ip: Ipv4 } = { mac: mac(B), ip: ip("10.0.1.11") }): Uint8Array =>
  buildUdp({ ethSrc: mac(A), ethDst: to.mac, ipSrc: ip("10.0.1.10"), ipDst: to.ip, srcPort: 1000, dstPort: 53 });

const L2 = ["InPort", "EthSrc", "EthDst", "Vlan"];
const names = (set: number): string[] => fieldNames(set);

describe("a flow is as wide as its decisions allow", () => {
  it("a bridge without filters compares addresses and VLAN of the frame only", () => {
    assert.deepEqual(flowOf(bridge(), "b/a", udp()), { fields: L2, src: 0, dst: 0 });
  });

  const rules: readonly (readonly [string, Condition, number, number, number])[] = [
    ["ethertype", { dlType: 0x86dd }, F.EtherType | F.Fragment, 0, 0],
    ["a protocol", { nwProto: 6 }, F.EtherType | F.Fragment | F.NwProto, 0, 0],
    ["a source network", { nwSrcAddress: "10.9.0.0", nwSrcLength: 16 }, F.EtherType | F.Fragment | F.NwSrc, 16, 0],
    ["a destination", { nwDstAddress: "10.9.0.1" }, F.EtherType | F.Fragment | F.NwDst, 0, 32],
    [
      "a port it does not come to, for the protocol fails first",
      { nwProto: 6, tpDst: { start: 1, end: 1 } },
      F.EtherType | F.Fragment | F.NwProto,
      0,
      0,
    ],
    ["a destination port", { tpDst: { start: 1, end: 1 } }, F.EtherType | F.Fragment | F.NwProto | F.TpDst, 0, 0],
    ["the type of service", { nwTos: 4 }, F.EtherType | F.Fragment | F.NwTos, 0, 0],
    ["a source MAC, which the bridge reads anyway", { dlSrc: "02:00:00:00:00:99" }, 0, 0, 0],
    ["the in-port, which every flow compares", { inPorts: ["a0000000-0000-4000-8000-000000000009"] }, 0, 0, 0],
  ];
  for (const [what, condition, fields, src, dst] of rules) {
    it(`a rule about ${what} adds only what it read`, () => {
      const seen = flowOf(bridge([condition]), "b/a", udp());
      assert.deepEqual(seen, { fields: names(F.InPort | F.EthSrc | F.EthDst | F.Vlan | fields), src, dst });
    });
  }

  it("a router adds the destination as far as its routes need it, and the time to live", () => {
    const t = new TopologyBuilder();
    t.router("r").routerPort("r/a", "10.0.1.1/24", { host: "h1" }).routerPort("r/b", "10.0.2.1/24", { host: "h1" });
    t.route("r", { dst: "10.8.0.0/16", port: "b", gateway: "10.0.2.9" });
    const s = new Scene(t).neighbour("r", "10.0.2.9", B);
    const port = s.view.port(t.portId("r/a"));
    const flow = flowOf(s, "r/a", udp({ mac: port?.mac as Mac, ip: ip("10.8.7.7") }));
    assert.deepEqual(flow.fields, ["InPort", "EthDst", "EtherType", "Vlan", "NwDst", "NwTtl", "Fragment"]);
    assert.ok(flow.dst <= 16, `${flow.dst} bits of the destination`);
    assert.equal(flow.src, 0);
  });
});
