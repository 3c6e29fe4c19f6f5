import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatIpv4Prefix, parseIpv4, parseIpv4Prefix } from "#core/packets";
import { CompiledRoute, RouteTable } from "#core/topology";
import type { PortId, RouteId } from "#core/base";

/** "dst" or "src > dst", and a weight. */
function table(...routes: readonly (readonly [string, number?])[]): RouteTable {
  return new RouteTable(
    routes.map(([text, weight = 100]) => {
      const [from, to] = text.includes(" > ") ? text.split(" > ") : ["0.0.0.0/0", text];
      const [src, dst] = [parseIpv4Prefix(from ?? ""), parseIpv4Prefix(to ?? "")];
      assert.ok(src !== null && dst !== null);
      return new CompiledRoute({
        id: `${text} ${weight}` as RouteId,
        type: "Normal",
        src: src.address,
        srcBits: src.length,
        dst: dst.address,
        dstBits: dst.length,
        port: "p" as PortId,
        gateway: 0,
        weight,
      });
    }),
  );
}

const ip = (text: string): number => parseIpv4(text) ?? assert.fail(text);
const show = (r: CompiledRoute): string =>
  formatIpv4Prefix({ address: ip("0.0.0.0") as never, length: r.dstBits }).slice(7);

describe("route table", () => {
  test("no routes: no answer, from no bits", () => {
    const t = table();
    assert.deepEqual([t.lookup(1, 2), t.srcBitsUsed, t.dstBitsUsed, t.size], [[], 0, 0, 0]);
  });

  test("a default route alone depends on nothing", () => {
    const t = table(["0.0.0.0/0"]);
    assert.equal(t.lookup(ip("1.1.1.1"), ip("255.255.255.255")).length, 1);
    assert.deepEqual([t.srcBitsUsed, t.dstBitsUsed], [0, 0]);
  });

  test("the longest prefix wins, whatever its weight", () => {
    const t = table(["10.0.0.0/8", 0], ["10.0.1.0/24", 100]);
    assert.deepEqual(t.lookup(0, ip("10.0.1.7")).map(show), ["/24"]);
    assert.deepEqual(t.lookup(0, ip("10.0.2.7")).map(show), ["/8"]);
    assert.deepEqual(t.lookup(0, ip("11.0.0.1")), []);
  });

  test("the bits used end where the trie does", () => {
    const t = table(["10.0.0.0/8"], ["10.0.1.0/24"]);
    const used = (dst: string): number => {
      t.lookup(0, ip(dst));
      return t.dstBitsUsed;
    };
    assert.deepEqual([used("10.0.1.7"), used("10.0.0.7"), used("10.128.0.0"), used("138.0.0.1")], [24, 24, 9, 1]);
  });

  test("equal weights: all of them in the order of their ids, as a shared array", () => {
    const t = table(["10.0.0.0/8", 5], ["10.0.0.0/8", 7], ["9.9.9.9/8 > 10.0.0.0/8", 5], ["0.0.0.0/0 > 10.0.0.0/8", 5]);
    const answer = t.lookup(ip("9.1.1.1"), ip("10.1.1.1"));
    assert.deepEqual(
      answer.map((r): string => r.id),
      ["0.0.0.0/0 > 10.0.0.0/8 5", "10.0.0.0/8 5", "9.9.9.9/8 > 10.0.0.0/8 5"],
    );
    assert.equal(t.lookup(ip("9.2.2.2"), ip("10.2.2.2")), answer);
  });

  test("routes for other sources fall back to shorter prefixes, at the cost of source bits", () => {
    const t = table(["172.16.0.0/12 > 10.0.1.0/24"], ["10.0.0.0/8"]);
    assert.deepEqual(t.lookup(ip("172.16.5.5"), ip("10.0.1.1")).map(show), ["/24"]);
    assert.equal(t.srcBitsUsed, 12);
    assert.deepEqual(t.lookup(ip("192.168.0.1"), ip("10.0.1.1")).map(show), ["/8"]);
    assert.equal(t.srcBitsUsed, 2);
    t.lookup(ip("172.16.5.5"), ip("10.0.2.1"));
    assert.equal(t.srcBitsUsed, 0);
  });
});
