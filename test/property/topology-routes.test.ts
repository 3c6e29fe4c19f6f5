import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PortId, RouteId } from "#core/base";
import { prefixMask } from "#core/packets";
import { CompiledRoute, RouteTable } from "#core/topology";
import * as fc from "fast-check";

/** Addresses that share prefixes of all lengths with each other. */
const address = fc.oneof(
  fc.constantFrom(0, 0xffff_ffff, 0x0a000000, 0x0a000001, 0x0a0000ff, 0x0a010203, 0x8000_0000),
  fc.tuple(fc.constantFrom(0x0a000000, 0x0a010200), fc.nat(31)).map(([base, bit]) => (base ^ (2 ** bit)) >>> 0),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);
const bits = fc.oneof(fc.integer({ min: 0, max: 32 }), fc.constantFrom(0, 8, 24, 32));
const routeArb = fc.record({
  src: address,
  srcBits: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: bits }),
  dst: address,
  dstBits: bits,
  weight: fc.constantFrom(0, 1, 100),
});
const routesArb = fc.array(routeArb, { maxLength: 25 }).map((list) =>
  list.map(
    (r, n) =>
      new CompiledRoute({
        ...r,
        id: `r${String(n).padStart(2, "0")}` as RouteId,
        type: "Normal",
        port: "p" as PortId,
        gateway: 0,
      }),
  ),
);

const inside = (ip: number, prefix: number, length: number): boolean => ((ip ^ prefix) & prefixMask(length)) === 0;

function naive(routes: readonly CompiledRoute[], src: number, dst: number): string[] {
  for (let length = 32; length >= 0; length--) {
    const fitting = routes.filter(
      (r) => r.dstBits === length && inside(dst, r.dst, length) && inside(src, r.src, r.srcBits),
    );
    if (fitting.length === 0) continue;
    const weight = Math.min(...fitting.map((r) => r.weight));
    return fitting.filter((r) => r.weight === weight).map((r): string => r.id);
  }
  return [];
}

const ids = (routes: readonly CompiledRoute[]): string[] => routes.map((r): string => r.id);
const replaceTail = (ip: number, tail: number, kept: number): number =>
  ((ip & prefixMask(kept)) | (tail & ~prefixMask(kept))) >>> 0;

describe("route table at random", () => {
  test("finds what a scan of all routes finds", () => {
    fc.assert(
      fc.property(
        routesArb,
        fc.array(fc.tuple(address, address), { minLength: 1, maxLength: 20 }),
        (routes, lookups) => {
          const table = new RouteTable(routes);
          for (const [src, dst] of lookups) assert.deepEqual(ids(table.lookup(src, dst)), naive(routes, src, dst));
          // Towards the routes themselves: deep matches are rare among random addresses.
          for (const r of routes) assert.deepEqual(ids(table.lookup(r.src, r.dst)), naive(routes, r.src, r.dst));
        },
      ),
      { numRuns: 1500 },
    );
  });

  test("addresses that agree on the bits used get the same answer", () => {
    fc.assert(
      fc.property(routesArb, address, address, address, address, (routes, src, dst, otherSrc, otherDst) => {
        const table = new RouteTable(routes);
        for (const [s, d] of [[src, dst], ...routes.map((r) => [r.src, r.dst])] as [number, number][]) {
          const answer = table.lookup(s, d);
          const { srcBitsUsed, dstBitsUsed } = table;
          const again = table.lookup(replaceTail(s, otherSrc, srcBitsUsed), replaceTail(d, otherDst, dstBitsUsed));
          assert.deepEqual(ids(again), ids(answer));
        }
      }),
      { numRuns: 1500 },
    );
  });
});
