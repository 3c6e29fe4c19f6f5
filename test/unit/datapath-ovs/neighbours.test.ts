import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostNetwork, Neighbour, Route } from "#adapters/datapath-ovs";
import { parseIpv4 } from "#core/packets";
import { NeighbourKeeper } from "../../../src/adapters/datapath-ovs/neighbour-keeper.ts";
import { nextHop, readRoutes } from "../../../src/adapters/datapath-ovs/routes.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

const ip = (dotted: string): number => parseIpv4(dotted) ?? 0;

/** As in /proc/net/route: a default route, the link, a longer prefix, two of one length, one that is down. */
const ROUTES = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
br-phy\t00000000\t010AA8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
br-phy\t000AA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth9\t0000000A\tFE0AA8C0\t0003\t0\t0\t200\t000000FF\t0\t0\t0
br-phy\t0000000A\tFD0AA8C0\t0003\t0\t0\t100\t000000FF\t0\t0\t0
br-phy\t00010A0A\tFC0AA8C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
br-phy\t00020A0A\tFB0AA8C0\t0002\t0\t0\t0\t00FFFFFF\t0\t0\t0
`;

describe("routes", () => {
  const routes = readRoutes(ROUTES);
  const hop = (to: string): Route["gateway"] | undefined => nextHop(routes, ip(to))?.address;

  it("on the link the peer itself, else the gateway of the longest prefix, then of the least metric", () => {
    assert.equal(hop("192.168.10.2"), ip("192.168.10.2"));
    assert.equal(hop("8.8.8.8"), ip("192.168.10.1"));
    assert.equal(hop("10.1.2.3"), ip("192.168.10.253"));
    assert.equal(hop("10.10.1.3"), ip("192.168.10.252"));
    assert.equal(hop("10.10.2.3"), ip("192.168.10.253"), "a route that is down is none");
    assert.equal(nextHop([], ip("8.8.8.8")), null);
  });
});

/** A kernel whose neighbours a test sets, and a switch that notes what it is told. */
class Scene implements HostNetwork {
  readonly time = new VirtualTime();
  readonly told: string[] = [];
  /** The switch's table: "hop mac device". */
  table: string[] = [];
  readonly asked: string[] = [];
  known: Neighbour[] = [];
  refuse: string | null = null;
  readonly keeper = new NeighbourKeeper({
    clock: this.time,
    scheduler: this.time,
    network: this,
    control: async (commands) => {
      const texts: string[] = [];
      for (const [method, ...args] of this.refuse === null ? commands : []) {
        if (method === "tnl/neigh/show") texts.push(["IP   MAC   Bridge", "=====", ...this.table].join("\n"));
        else {
          const [device, hop, mac] = args;
          this.told.push([method, ...args].join(" "));
          this.table = [...this.table.filter((line) => !line.startsWith(`${hop} `)), `${hop}      ${mac}  ${device}`];
          texts.push("OK");
        }
      }
      return { texts, trouble: this.refuse };
    },
    tunnelIp: "192.168.10.1",
  });

  know(address: string, mac: string, device = "br-phy"): void {
    this.known = [...this.known.filter((n) => n.address !== address || n.device !== device), { address, mac, device }];
  }

  ifindex(): null {
    return null;
  }
  interfaceWith(): null {
    return null;
  }
  neighbours(): Promise<readonly Neighbour[]> {
    return Promise.resolve(this.known);
  }
  routes(): Promise<readonly Route[]> {
    return Promise.resolve(readRoutes(ROUTES));
  }
  provoke(_from: string, to: string): void {
    this.asked.push(to);
  }
  close(): void {}
}

async function scene(act: (s: Scene) => Promise<void>): Promise<void> {
  const s = new Scene();
  s.keeper.start();
  await act(s);
  await s.keeper.stop();
  assert.equal(s.time.pending, 0, "nothing goes on after the end");
}

describe("tunnel neighbours of a userspace switch", () => {
  it("a new peer is looked for at once, and told within a moment of its answer", () =>
    scene(async (s) => {
      s.keeper.setPeers([ip("192.168.10.2"), ip("192.168.10.1"), ip("192.168.10.2")]);
      await s.time.advance(1);
      assert.deepEqual(s.asked, ["192.168.10.2"], "not ourselves, nobody twice");
      s.know("192.168.10.2", "02:00:00:00:00:02");
      await s.time.advance(50);
      assert.deepEqual(s.told, ["tnl/neigh/set br-phy 192.168.10.2 02:00:00:00:00:02"]);
    }));

  it("peers behind a gateway share its MAC", () =>
    scene(async (s) => {
      s.know("192.168.10.253", "02:00:00:00:00:fd");
      s.keeper.setPeers([ip("10.1.0.1"), ip("10.1.0.2")]);
      await s.time.advance(1);
      assert.deepEqual(s.told, ["tnl/neigh/set br-phy 192.168.10.253 02:00:00:00:00:fd"]);
      await s.time.advance(15_000);
      assert.deepEqual(new Set(s.asked), new Set(["10.1.0.1", "10.1.0.2"]));
    }));

  it("what is known on another device does not count", () =>
    scene(async (s) => {
      s.know("192.168.10.2", "02:00:00:00:00:99", "phy0");
      s.keeper.setPeers([ip("192.168.10.2")]);
      await s.time.advance(3000);
      assert.deepEqual(s.told, []);
      assert.ok(s.asked.length >= 3, "and it is looked for again and again");
    }));

  it("a new MAC is told within a second, the same one again long before the switch forgets it", () =>
    scene(async (s) => {
      s.know("192.168.10.2", "02:00:00:00:00:02");
      s.keeper.setPeers([ip("192.168.10.2")]);
      await s.time.advance(1);
      s.know("192.168.10.2", "02:00:00:00:00:03");
      await s.time.advance(1000);
      assert.deepEqual(s.told.slice(1), ["tnl/neigh/set br-phy 192.168.10.2 02:00:00:00:00:03"]);
      await s.time.advance(900_000);
      assert.ok(s.told.length >= 2 + 13 && s.told.length <= 2 + 15, `told ${s.told.length} times`);
      assert.ok(s.asked.length >= 900 / 16 && s.asked.length <= 900 / 14, `asked ${s.asked.length} times`);
    }));

  it("a switch that has emptied its table is told again within a second", () =>
    scene(async (s) => {
      s.know("192.168.10.2", "02:00:00:00:00:02");
      s.keeper.setPeers([ip("192.168.10.2")]);
      await s.time.advance(5000);
      assert.equal(s.told.length, 1);
      s.table = [];
      await s.time.advance(1000);
      assert.equal(s.told.length, 2);
    }));

  it("a switch that began anew is told what was known, also when the kernel has forgotten it", () =>
    scene(async (s) => {
      s.know("192.168.10.2", "02:00:00:00:00:02");
      s.keeper.setPeers([ip("192.168.10.2")]);
      await s.time.advance(1);
      s.known = [];
      s.told.length = 0;
      await s.keeper.retell();
      assert.deepEqual(s.told, ["tnl/neigh/set br-phy 192.168.10.2 02:00:00:00:00:02"]);
    }));

  it("a switch that does not take it is tried again, and that is said meanwhile", () =>
    scene(async (s) => {
      s.refuse = "ovs-vswitchd has no pid file";
      s.know("192.168.10.2", "02:00:00:00:00:02");
      s.keeper.setPeers([ip("192.168.10.2")]);
      await s.time.advance(5000);
      assert.equal(s.keeper.problem, "ovs-vswitchd has no pid file");
      s.refuse = null;
      await s.time.advance(1001);
      assert.equal(s.told.length, 1);
      assert.equal(s.keeper.problem, null);
    }));
});
