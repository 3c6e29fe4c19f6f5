import assert from "node:assert/strict";
import { it } from "node:test";
import { buildUdp } from "#core/packets";
import { ip, mac, Scene } from "../../support/simulation-scene.ts";
import { TopologyBuilder } from "../../support/topology-builder.ts";

const A = "02:00:00:00:00:0a";
const B = "02:00:00:00:00:0b";
const [R1, R2] = ["ac:ca:ba:00:00:01", "ac:ca:ba:00:00:03"];
const PORTS = ["core/vm", "right/vm", "s/out"];

/** core, which does not know where the router's MAC is, between left (with the routers r and s behind it) and right. */
function scene(): Scene {
  const t = new TopologyBuilder();
  t.bridge("core").port("core/vm", { host: "h1" }).port("core/x").port("core/y");
  t.bridge("left").port("left/up").port("left/r");
  t.bridge("right").port("right/up").port("right/vm", { host: "h2" });
  t.router("r").routerPort("r/in", "10.0.1.1/24", { mac: R1 }).routerPort("r/s", "10.0.9.1/24", {});
  t.router("s").routerPort("s/r", "10.0.9.2/24", { mac: R2 }).routerPort("s/out", "10.0.2.1/24", { host: "h2" });
  t.route("r", { dst: "10.0.2.0/24", port: "s", gateway: "10.0.9.2" }).route("s", { dst: "10.0.2.0/24", port: "out" });
  t.link("core/x", "left/up").link("core/y", "right/up").link("left/r", "r/in").link("r/s", "s/r");
  return new Scene(t).neighbour("s", "10.0.2.20", B);
}

it("each copy of a flood says by which port it entered its first router, or that it met none", () => {
  const s = scene();
  const o = s.send(
    "core/vm",
    buildUdp({
      ethSrc: mac(A),
      ethDst: mac(R1),
      ipSrc: ip("10.0.1.10"),
      ipDst: ip("10.0.2.20"),
      srcPort: 1,
      dstPort: 2,
    }),
  );
  const names = o.leavesBy(PORTS);
  assert.deepEqual([...names].sort(), ["right/vm", "s/out"], o.kinds().join(" "));
  const by = new Map(o.ctx.outputs.map((out, i) => [names[i], out.routedBy?.id ?? null]));
  assert.equal(by.get("s/out"), s.t.portId("r/in"), "the first router, not the last");
  assert.equal(by.get("right/vm"), null);
});
