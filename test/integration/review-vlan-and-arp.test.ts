import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildUdp, type Mac } from "#core/packets";
import { type ClusterPlan, ip, vmPlan } from "../support/cluster.ts";
import { onCluster } from "../support/cluster-kit.ts";

/** A trunk over two hosts, and a bridge on its VLAN 10. */
const trunk = (): ClusterPlan => ({
  hosts: { h1: "192.0.2.1", h2: "192.0.2.2" },
  topology: {
    bridges: [
      {
        name: "trunk",
        tenant: "red",
        ports: [
          { name: "t2", bind: { host: "h2", interface: "tap-t2" } },
          { name: "v10", vlan: 10 },
        ],
      },
      {
        name: "net10",
        tenant: "red",
        ports: [
          { name: "x1", bind: { host: "h1", interface: "tap-x1" } },
          { name: "up", link: "trunk/v10" },
        ],
      },
    ],
  },
  vms: [
    vmPlan("x1", "h1", "02:00:00:00:00:01", "10.0.0.1", null),
    vmPlan("t2", "h2", "02:00:00:00:00:02", "10.0.0.2", null),
  ],
});

const tags = (frame: Uint8Array): number[] => {
  const found: number[] = [];
  for (let o = 12; frame[o] === 0x81 || frame[o] === 0x88; o += 4)
    found.push((((frame[o + 2] as number) & 15) << 8) | (frame[o + 3] as number));
  return found;
};

describe("a tag on top of a tag", () => {
  const ends = { ipSrc: ip("10.0.0.1"), ipDst: ip("10.0.0.2"), srcPort: 1, dstPort: 9 };

  it("is pushed where a tagged frame enters a trunk by a VLAN port, and popped on the way back", () =>
    onCluster(trunk(), async (c) => {
      const [x1, t2] = [c.vm("x1").config.mac, c.vm("t2").config.mac];
      c.inject("x1", buildUdp({ ...ends, ethSrc: x1, ethDst: t2, vlans: [77] }));
      await c.settle(100);
      assert.deepEqual(c.got("t2").map(tags), [[10, 77]]);
      c.inject("t2", buildUdp({ ...ends, ethSrc: t2, ethDst: x1, vlans: [10, 77] }));
      await c.settle(100);
      assert.deepEqual(c.got("x1").map(tags), [[77]]);
      assert.deepEqual(c.problems, []);
    }));
});

/** A bridge that leads to two routers with one MAC: behind the first nobody answers ARP, behind the second somebody does. */
const twoRouters = (): ClusterPlan => {
  const router = (name: string, net: string): object => ({
    name,
    tenant: "red",
    ports: [
      { name: "in", address: "10.0.0.254/24", mac: "ac:ca:ba:00:00:99", link: `net-${name}/router` },
      { name: "out", address: `${net}.1/24`, link: `lan-${name}/router` },
    ],
    routes: [{ type: "Normal", dst: "10.9.0.0/24", port: "out", gateway: `${net}.2` }],
  });
  const branch = (name: string): object[] => [
    { name: `net-${name}`, tenant: "red", ports: [{ name: "up", link: `core/${name}` }, { name: "router" }] },
    {
      name: `lan-${name}`,
      tenant: "red",
      ports: [{ name: "router" }, { name: "vm", bind: { host: "h1", interface: `tap-${name}` } }],
    },
  ];
  return {
    hosts: { h1: "192.0.2.1" },
    topology: {
      bridges: [
        {
          name: "core",
          tenant: "red",
          ports: [{ name: "vm", bind: { host: "h1", interface: "tap-sender" } }, { name: "a" }, { name: "b" }],
        },
        ...branch("a"),
        ...branch("b"),
      ],
      routers: [router("a", "10.1.0"), router("b", "10.2.0")],
    },
    vms: [
      vmPlan("sender", "h1", "02:00:00:00:00:01", "10.0.0.1", null),
      { ...vmPlan("b", "h1", "02:00:00:00:00:0b", "10.2.0.2", null) },
    ],
  };
};

describe("a flood of which one branch waits for ARP in vain", () => {
  it("goes on over the other branches, and the trace tells both ends", () =>
    onCluster(twoRouters(), async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "core"), { nwProto: 17 });
      const sender = c.vm("sender").config;
      const frame = buildUdp({
        ethSrc: sender.mac,
        ethDst: 0xaccaba000099 as Mac,
        ipSrc: sender.ip,
        ipDst: ip("10.9.0.9"),
        srcPort: 1,
        dstPort: 9,
      });
      c.inject("sender", frame);
      await c.settle(12_000);
      const udp = c.got("b").filter((f) => f[12] === 8 && f[13] === 0 && f[23] === 17);
      assert.equal(udp.length, 1, "the copy over the second router arrived");
      const segment = c.segments.find((s) => s.role === "ingress");
      assert.ok(segment !== undefined);
      assert.deepEqual(
        segment.steps.flatMap((s) => (s.kind === "drop" ? [s.reason] : [])),
        ["arp-timeout"],
      );
      assert.equal(segment.steps.filter((s) => s.kind === "delivered").length, 1);
    }));
});
