import assert from "node:assert/strict";
import { test } from "node:test";
import { F, FlowMatch, FRAGMENT, IP_PROTO } from "#core/flows";
import { arpFrame, type FrameSpec, ipv4Frame, ipv6Frame, VM1, VM2 } from "../support/datapath-frames.ts";
import { entry, matchOf, output, type RigFactory } from "../support/datapath-rig.ts";
import { Scene } from "../support/datapath-scene.ts";

const L3 = F.InPort | F.EtherType;
const IP = L3 | F.Fragment;
const L4 = IP | F.NwProto;

/** A flow for `hit` that compares `fields` carries `hit` and lets `miss` come up. */
interface MaskCase {
  readonly name: string;
  readonly fields: number;
  readonly hit: Uint8Array;
  readonly alsoHit?: Uint8Array;
  readonly miss: Uint8Array;
  readonly bits?: { readonly nwSrcBits: number; readonly nwDstBits: number };
}

const ip = (spec: Partial<FrameSpec> = {}): Uint8Array => ipv4Frame(spec);
const icmp = (spec: Partial<FrameSpec>): Uint8Array => ipv4Frame({ proto: IP_PROTO.ICMP, sport: 8, dport: 0, ...spec });
const tcp = (spec: Partial<FrameSpec>): Uint8Array => ipv4Frame({ proto: IP_PROTO.TCP, ...spec });
const V6A = 0xfd00_0000_0000_0000_0000_0000_0000_0001n;

const CASES: readonly MaskCase[] = [
  {
    name: "Ethernet source",
    fields: F.InPort | F.EthSrc,
    hit: ip(),
    alsoHit: arpFrame(),
    miss: ip({ ethSrc: 0x02_01_00_00_01_01 }),
  },
  {
    name: "Ethernet destination",
    fields: F.InPort | F.EthDst,
    hit: ip(),
    alsoHit: arpFrame(),
    miss: ip({ ethDst: 0x02_00_00_00_01_03 }),
  },
  { name: "ethertype", fields: L3, hit: ip(), alsoHit: ip({ src: 1 }), miss: arpFrame() },
  {
    name: "VLAN id",
    fields: F.InPort | F.Vlan,
    hit: ip({ vlans: [7] }),
    alsoHit: arpFrame({ vlans: [7] }),
    miss: ip({ vlans: [8] }),
  },
  { name: "a VLAN id against untagged", fields: F.InPort | F.Vlan, hit: ip({ vlans: [7] }), miss: ip() },
  { name: "untagged", fields: F.InPort | F.Vlan, hit: ip(), alsoHit: arpFrame(), miss: ip({ vlans: [7] }) },
  { name: "VLAN not compared", fields: L3 | F.NwSrc, hit: ip({ vlans: [7] }), alsoHit: ip(), miss: ip({ src: 5 }) },
  { name: "IP protocol", fields: L4, hit: ip(), alsoHit: ip({ dport: 1 }), miss: tcp({}) },
  { name: "IPv4 source", fields: IP | F.NwSrc, hit: ip(), alsoHit: ip({ dst: 9 }), miss: ip({ src: VM1.ip ^ 1 }) },
  {
    name: "IPv4 destination",
    fields: IP | F.NwDst,
    hit: ip(),
    alsoHit: ip({ src: 9 }),
    miss: ip({ dst: VM2.ip ^ 0x8000_0000 }),
  },
  {
    name: "IPv4 source /24",
    fields: IP | F.NwSrc,
    bits: { nwSrcBits: 24, nwDstBits: 0 },
    hit: ip(),
    alsoHit: ip({ src: VM1.ip ^ 0xff }),
    miss: ip({ src: VM1.ip ^ 0x100 }),
  },
  {
    name: "IPv4 destination /1",
    fields: IP | F.NwDst,
    bits: { nwSrcBits: 0, nwDstBits: 1 },
    hit: ip(),
    alsoHit: ip({ dst: 0x7fff_ffff }),
    miss: ip({ dst: 0x8a00_0102 }),
  },
  {
    name: "IPv4 source /31, destination /9",
    fields: IP | F.NwSrc | F.NwDst,
    bits: { nwSrcBits: 31, nwDstBits: 9 },
    hit: ip(),
    alsoHit: ip({ src: VM1.ip ^ 1, dst: VM2.ip ^ 0x7f_ffff }),
    miss: ip({ dst: VM2.ip ^ 0x80_0000 }),
  },
  { name: "TOS", fields: IP | F.NwTos, hit: ip({ tos: 0xb8 }), alsoHit: tcp({ tos: 0xb8 }), miss: ip() },
  { name: "TTL", fields: IP | F.NwTtl, hit: ip({ ttl: 64 }), alsoHit: tcp({}), miss: ip({ ttl: 63 }) },
  { name: "UDP source port", fields: L4 | F.TpSrc, hit: ip(), alsoHit: ip({ dport: 1 }), miss: ip({ sport: 1001 }) },
  {
    name: "TCP destination port",
    fields: L4 | F.TpDst,
    hit: tcp({}),
    alsoHit: tcp({ sport: 1 }),
    miss: tcp({ dport: 2001 }),
  },
  { name: "ICMP type", fields: L4 | F.TpSrc, hit: icmp({}), alsoHit: icmp({ icmpId: 99 }), miss: icmp({ sport: 0 }) },
  {
    name: "ICMP code",
    fields: L4 | F.TpSrc | F.TpDst,
    hit: icmp({ sport: 3, dport: 1 }),
    miss: icmp({ sport: 3, dport: 3 }),
  },
  { name: "unfragmented", fields: IP, hit: ip(), alsoHit: tcp({}), miss: ip({ fragment: 0x2000 }) },
  { name: "first fragment", fields: IP, hit: ip({ fragment: 0x2000 }), miss: ip({ fragment: 0x2010 }) },
  { name: "later fragment", fields: IP, hit: ip({ fragment: 0x0010 }), alsoHit: ip({ fragment: 0x2020 }), miss: ip() },
  {
    name: "ARP operation",
    fields: L3 | F.NwProto,
    hit: arpFrame(),
    alsoHit: arpFrame({ dst: 3 }),
    miss: arpFrame({ op: 2 }),
  },
  {
    name: "ARP sender address",
    fields: L3 | F.NwSrc,
    hit: arpFrame(),
    alsoHit: arpFrame({ op: 2 }),
    miss: arpFrame({ src: VM1.ip ^ 1 }),
  },
  { name: "ARP target address", fields: L3 | F.NwDst, hit: arpFrame(), miss: arpFrame({ dst: VM2.ip ^ 1 }) },
  {
    name: "IPv6 source",
    fields: IP | F.NwSrc,
    hit: ipv6Frame(V6A, 2n),
    alsoHit: ipv6Frame(V6A, 3n),
    miss: ipv6Frame(V6A ^ (1n << 70n), 2n),
  },
  { name: "IPv6 destination", fields: IP | F.NwDst, hit: ipv6Frame(V6A, 2n), miss: ipv6Frame(V6A, 2n + (1n << 127n)) },
];

/** Table misses, masks, removal, timeouts, counters, order. */
export function datapathFlows(factory: RigFactory): void {
  const scene = (name: string, act: (s: Scene) => Promise<void>): void => {
    test(name, () => Scene.play(factory, act));
  };

  scene("a packet that no flow covers comes up whole, with its port and without tunnel fields", async (s) => {
    for (const frame of [
      ip(),
      arpFrame(),
      ip({ vlans: [7] }),
      ip({ vlans: [7, 8] }),
      ip({ payload: new Uint8Array(1400) }),
    ]) {
      const up = await s.comesUp(s.a.vm(0), frame, s.a);
      const { inPort, tunnelKey, tunnelSrc, tunnelDst } = up;
      assert.deepEqual([inPort, tunnelKey, tunnelSrc, tunnelDst], [s.a.p(0), 0, 0, 0]);
      assert.deepEqual([...up.frame], [...frame]);
      assert.deepEqual(up.match, matchOf(frame, s.a.p(0)));
    }
    assert.equal(s.a.host.datapath.stats().upcalls, 5);
    assert.equal(s.a.host.datapath.stats().upcallsLost, 0);
  });

  scene("an installed flow forwards without a packet-in; the input port is compared", async (s) => {
    const frame = ip();
    await s.install(
      s.a,
      entry(1, matchOf(frame, s.a.p(0)), L4 | F.NwSrc | F.NwDst | F.TpSrc | F.TpDst, [output(s.a.p(1))]),
    );
    for (let i = 0; i < 3; i++) assert.deepEqual([...(await s.carry(s.a.vm(0), frame, s.a.vm(1)))], [...frame]);
    assert.equal(s.a.heard.packets.length, 0);
    assert.equal((await s.comesUp(s.a.vm(1), frame, s.a)).inPort, s.a.p(1));
  });

  for (const c of CASES) {
    scene(`mask: ${c.name}`, async (s) => {
      const mask = { fields: c.fields, nwSrcBits: 32, nwDstBits: 32, ...c.bits };
      await s.install(s.a, entry(1, matchOf(c.hit, s.a.p(0)), c.fields, [output(s.a.p(1))], { mask }));
      for (const frame of [c.hit, c.alsoHit ?? c.hit]) {
        assert.deepEqual([...(await s.carry(s.a.vm(0), frame, s.a.vm(1)))], [...frame]);
      }
      assert.equal(s.a.heard.packets.length, 0);
      assert.deepEqual([...(await s.comesUp(s.a.vm(0), c.miss, s.a)).frame], [...c.miss]);
      assert.equal(s.a.vm(1).received.length, 2);
    });
  }

  scene("flows with different masks side by side each take their packets", async (s) => {
    const tagged = ip({ vlans: [9] });
    await s.install(
      s.a,
      entry(1, matchOf(ip(), s.a.p(0)), F.InPort | F.Vlan | L4 | F.TpDst, [output(s.a.p(1))]),
      entry(2, matchOf(tagged, s.a.p(0)), F.InPort | F.Vlan, []),
    );
    s.a.vm(0).send(tagged);
    await s.carry(s.a.vm(0), ip(), s.a.vm(1));
    assert.equal(s.a.vm(1).received.length, 1);
    assert.equal(s.a.heard.packets.length, 0);
    assert.equal(matchOf(ip({ fragment: 0x2000 }), 0).fragment, FRAGMENT.FIRST);
  });

  scene("a flow without actions drops", async (s) => {
    await s.install(s.a, entry(1, matchOf(arpFrame(), s.a.p(0)), L3, []));
    s.a.vm(0).send(arpFrame());
    await s.comesUp(s.a.vm(0), ip(), s.a);
    assert.equal(s.a.heard.packets.length, 1);
    assert.equal(s.a.vm(1).received.length, 0);
    await s.rig.eventually("the count of the drop flow", () => s.a.host.datapath.counters(1)?.packets === 1 || null);
  });

  scene("removal by cookie: packets come up again, reported once with the last counters, others stay", async (s) => {
    const other = ip({ dport: 4 });
    const fields = L4 | F.TpDst;
    await s.install(
      s.a,
      entry(1, matchOf(ip(), s.a.p(0)), fields, [output(s.a.p(1))]),
      entry(2, matchOf(other, s.a.p(0)), fields, [output(s.a.p(1))]),
    );
    await s.carry(s.a.vm(0), ip(), s.a.vm(1));
    assert.equal(s.a.host.datapath.stats().flows, 2);
    // A real switch counts late, and a removal tells what was counted by then.
    await s.rig.eventually("counters", () => s.a.host.datapath.counters(1)?.packets === 1 || null);
    s.a.remove(1);
    s.a.remove(1);
    s.a.remove(777);
    const bytes = ip().length;
    await s.rig.eventually("flow removed", () => s.a.heard.removals(1)[0] ?? null);
    await s.rig.quiet();
    assert.deepEqual(s.a.heard.removed, [{ cookie: 1, reason: "deleted", packets: 1, bytes }]);
    assert.equal(s.a.host.datapath.counters(1), null);
    assert.equal(s.a.host.datapath.stats().flows, 1);
    await s.comesUp(s.a.vm(0), ip(), s.a);
    await s.carry(s.a.vm(0), other, s.a.vm(1));
  });

  scene("the same match and mask again: the old entry stays, the new one is reported deleted", async (s) => {
    const match = matchOf(ip(), s.a.p(0));
    await s.install(s.a, entry(1, match, L4, [output(s.a.p(1))]));
    const twin = matchOf(ip({ sport: 5, ethSrc: 0x02_00_00_00_07_07 }), s.a.p(0));
    s.a.install(entry(2, twin, L4, []));
    await s.rig.eventually("flow removed", () => s.a.heard.removals(2)[0] ?? null);
    assert.deepEqual(s.a.heard.removed, [{ cookie: 2, reason: "deleted", packets: 0, bytes: 0 }]);
    await s.carry(s.a.vm(0), ip(), s.a.vm(1));
    assert.equal(s.a.host.datapath.counters(2), null);
  });

  scene("idle timeout: kept while packets come, then reported once with counters", async (s) => {
    await s.install(s.a, entry(1, matchOf(ip(), s.a.p(0)), L4, [output(s.a.p(1))], { idleTimeoutMs: 2000 }));
    for (let i = 0; i < 4; i++) {
      await s.carry(s.a.vm(0), ip(), s.a.vm(1));
      await s.rig.quiet();
    }
    assert.deepEqual(s.a.heard.removed, []);
    await s.rig.eventually("idle timeout", () => s.a.heard.removed[0] ?? null, 20_000);
    await s.rig.quiet();
    assert.deepEqual(s.a.heard.removed, [{ cookie: 1, reason: "idle", packets: 4, bytes: 4 * ip().length }]);
    await s.comesUp(s.a.vm(0), ip(), s.a);
  });

  scene("hard timeout: removed whatever comes, reported once", async (s) => {
    await s.install(
      s.a,
      entry(1, matchOf(ip(), s.a.p(0)), L4, [output(s.a.p(1))], { hardTimeoutMs: 2000, idleTimeoutMs: 60_000 }),
    );
    await s.carry(s.a.vm(0), ip(), s.a.vm(1));
    await s.rig.eventually("hard timeout", () => s.a.heard.removed[0] ?? null, 20_000);
    s.a.remove(1);
    await s.rig.quiet();
    assert.deepEqual(s.a.heard.removed, [{ cookie: 1, reason: "hard", packets: 1, bytes: ip().length }]);
  });

  scene("an entry removed before its timeout is not reported again when that would have come", async (s) => {
    const timeouts = { idleTimeoutMs: 2000, hardTimeoutMs: 2000 };
    const longer = { idleTimeoutMs: 4000 };
    await s.install(
      s.a,
      entry(1, matchOf(ip(), s.a.p(0)), L4, [], timeouts),
      entry(2, matchOf(ip(), s.a.p(1)), L4, [], longer),
    );
    s.a.remove(1);
    await s.rig.eventually("the other entry's timeout", () => s.a.heard.removals(2)[0] ?? null, 20_000);
    assert.deepEqual(
      s.a.heard.removals(1).map((r) => r.reason),
      ["deleted"],
    );
  });

  scene("the match of an entry can be read while it is installed", async (s) => {
    const read = new FlowMatch();
    const frames = [ip(), ip({ vlans: [7] }), arpFrame(), icmp({}), ipv6Frame(V6A, V6A + 1n)];
    for (const [i, frame] of frames.entries()) {
      const match = matchOf(frame, s.a.p(0));
      const installed = entry(i + 1, match, L4 | F.Vlan, []);
      s.a.install({ ...installed, match });
      // It may be used again: the datapath has its own.
      match.copyFrom(new FlowMatch());
      assert.equal(s.a.host.datapath.readMatch(i + 1, read), true);
      assert.deepEqual(read, matchOf(frame, s.a.p(0)));
    }
    s.a.remove(1);
    assert.equal(s.a.host.datapath.readMatch(1, read), false);
    assert.equal(s.a.host.datapath.readMatch(99, read), false);
  });

  scene("counters of an entry and of the switch", async (s) => {
    await s.install(s.a, entry(1, matchOf(ip(), s.a.p(0)), L4, [output(s.a.p(1))]));
    const long = ip({ payload: new Uint8Array(700) });
    await s.carry(s.a.vm(0), ip(), s.a.vm(1));
    await s.carry(s.a.vm(0), long, s.a.vm(1));
    const want = { packets: 2, bytes: ip().length + long.length };
    await s.rig.eventually("counters", () => (s.a.host.datapath.counters(1)?.packets === 2 ? true : null));
    assert.deepEqual(s.a.host.datapath.counters(1), want);
    await s.rig.eventually("hits", () => (s.a.host.datapath.stats().hits === 2 ? true : null));
    assert.deepEqual(s.a.host.datapath.stats(), { hits: 2, upcalls: 0, upcallsLost: 0, flows: 1 });
  });
}
