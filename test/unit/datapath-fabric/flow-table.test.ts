import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { MidotraceError } from "#core/base";
import { type FlowEntry, FlowTable, NONE } from "#core/datapath";
import { ETHERTYPE, F, type FlowMask, FlowMatch, matchesMasked, USERSPACE_ONLY } from "#core/flows";

const few = (...values: number[]): fc.Arbitrary<number> => fc.constantFrom(...values);

/** Few values per field, so that entries and packets meet; extreme ones, so that no bit is lost in a word. */
const packets: fc.Arbitrary<FlowMatch> = fc
  .record({
    inPort: few(1, 100),
    tunnelKey: few(0, 0xffffff, 0x7fffff),
    tunnelSrc: few(0, 0xffff_ffff),
    tunnelDst: few(0, 0x8000_0000),
    ethSrc: few(0x0200_0000_0001, 0x0201_0000_0001, 0xffff_ffff_ffff),
    ethDst: few(0x0200_0000_0001, 0x8200_0000_0001),
    etherType: few(ETHERTYPE.IPV4, ETHERTYPE.ARP, ETHERTYPE.IPV6),
    vlan: few(-1, 0, 4095),
    nwProto: few(1, 6, 17),
    nwSrc: few(0, 1, 0x0a00_0001, 0x8a00_0001, 0xffff_ffff),
    nwDst: few(0, 0x0a00_0001, 0x0a00_0101),
    nwTos: few(0, 255),
    nwTtl: few(1, 255),
    fragment: few(0, 1, 2),
    tpSrc: few(0, 65535),
    tpDst: few(0, 65535),
    icmpId: few(-1, 0, 65535),
    arpSha: few(0, 0x0200_0000_0001, 0xffff_ffff_ffff),
    ip6: fc.constantFrom(0n, 1n, 1n << 127n, (1n << 128n) - 1n),
  })
  .map(({ ip6, ...fields }) => {
    const m = Object.assign(new FlowMatch(), fields);
    if (m.etherType !== ETHERTYPE.IPV6) return m;
    return Object.assign(m, { nwSrc: 0, nwDst: 0, ip6Src: ip6, ip6Dst: ip6 ^ 1n });
  });

const masks: fc.Arbitrary<FlowMask> = fc.record({
  fields: fc
    .subarray(Object.values(F).filter((f) => (f & USERSPACE_ONLY) === 0))
    .map((bits) => bits.reduce((a, b) => a | b, 0)),
  nwSrcBits: fc.integer({ min: 0, max: 32 }),
  nwDstBits: fc.integer({ min: 0, max: 32 }),
});

const flow = (cookie: number, match: FlowMatch, mask: FlowMask): FlowEntry => ({
  cookie,
  match,
  mask,
  actions: [],
  idleTimeoutMs: 0,
  hardTimeoutMs: 0,
});

/** What the table must be: a list that is searched from end to end. */
class NaiveTable {
  readonly entries: FlowEntry[] = [];

  add(entry: FlowEntry): boolean {
    const bits = (k: FlowMask): string =>
      [k.fields, (k.fields & F.NwSrc) === 0 ? 0 : k.nwSrcBits, (k.fields & F.NwDst) === 0 ? 0 : k.nwDstBits].join();
    const twin = this.entries.some(
      (e) => bits(e.mask) === bits(entry.mask) && matchesMasked(e.match, e.mask, entry.match),
    );
    if (!twin) this.entries.push(entry);
    return !twin;
  }

  matching(packet: FlowMatch): FlowEntry[] {
    return this.entries.filter((e) => matchesMasked(e.match, e.mask, packet));
  }
}

describe("FlowTable", () => {
  test("finds what a linear search finds, through adds and removals", () => {
    const commands = fc.array(fc.tuple(packets, masks, fc.nat()), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(commands, fc.array(packets, { maxLength: 30 }), (adds, probes) => {
        const table = new FlowTable<FlowEntry>();
        const naive = new NaiveTable();
        for (const [i, [match, mask, pick]] of adds.entries()) {
          const entry = flow(i, match, mask);
          assert.equal(table.add(i, entry, match) !== NONE, naive.add(entry));
          if (pick % 3 !== 0) continue;
          const [gone] = naive.entries.splice(pick % naive.entries.length, 1);
          const n = table.find((gone as FlowEntry).cookie);
          assert.equal(table.at(n), gone);
          table.remove(n);
        }
        assert.equal(table.size, naive.entries.length);
        assert.deepEqual(
          [...table].map((n) => table.at(n)),
          naive.entries,
        );
        const read = new FlowMatch();
        for (const n of table) {
          table.readMatch(n, read);
          assert.deepEqual(read, table.at(n).match);
          assert.equal(table.cookieOf(n), table.at(n).cookie);
        }
        for (const packet of [...probes, ...adds.map(([match]) => match)]) {
          const found = table.lookup(packet);
          const right = naive.matching(packet);
          assert.ok(found === NONE ? right.length === 0 : right.includes(table.at(found)));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("grows and shrinks: ten thousand entries of one mask, each found, then none", () => {
    const table = new FlowTable();
    const mask = { fields: F.EthSrc | F.TpSrc, nwSrcBits: 0, nwDstBits: 0 };
    const of = (i: number): FlowMatch => Object.assign(new FlowMatch(), { ethSrc: i * 65537, tpSrc: i & 0xffff });
    for (let i = 0; i < 10_000; i++) table.add(i, { mask }, of(i));
    for (let i = 0; i < 10_000; i++) assert.equal(table.cookieOf(table.lookup(of(i))), i);
    assert.equal(table.masks, 1);
    for (let i = 0; i < 10_000; i++) table.remove(table.find(i));
    assert.deepEqual([table.size, table.masks, table.lookup(of(1)), table.find(1)], [0, 0, NONE, NONE]);
  });

  test("refuses a cookie in use and fields that no switch can match", () => {
    const table = new FlowTable();
    const mask = { fields: F.InPort, nwSrcBits: 0, nwDstBits: 0 };
    table.add(1, { mask }, new FlowMatch());
    assert.throws(() => table.add(1, { mask }, new FlowMatch()), MidotraceError);
    assert.throws(() => table.add(2, { mask: { ...mask, fields: F.IcmpId } }, new FlowMatch()), MidotraceError);
  });
});
