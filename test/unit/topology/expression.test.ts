import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MidotraceError } from "#core/base";
import { type Condition, describeCondition, parseExpression, sameCondition } from "#core/topology";
import * as fc from "fast-check";
import { sayableConditionArb } from "../../support/topology-arbitraries.ts";

const P = "a0000000-0000-4000-8000-000000000001";
const one = (n: number) => ({ start: n, end: n });

describe("filter expressions", () => {
  const good: readonly (readonly [string, Condition])[] = [
    ["", {}],
    ["any", {}],
    ["tcp", { nwProto: 6 }],
    ["TCP DST PORT 80", { nwProto: 6, tpDst: one(80) }],
    ["udp", { nwProto: 17 }],
    ["icmp", { dlType: 0x0800, nwProto: 1 }],
    ["icmp6", { dlType: 0x86dd, nwProto: 58 }],
    ["arp", { dlType: 0x0806 }],
    ["ip", { dlType: 0x0800 }],
    ["ip6", { dlType: 0x86dd }],
    ["proto 47", { nwProto: 47 }],
    ["ip proto \\tcp", { dlType: 0x0800, nwProto: 6 }],
    ["ether proto 0x88cc", { dlType: 0x88cc }],
    ["ether proto 2048", { dlType: 0x0800 }],
    ["ether proto \\arp", { dlType: 0x0806 }],
    ["src host 10.0.1.1", { nwSrcAddress: "10.0.1.1", nwSrcLength: 32 }],
    ["dst 10.0.1.1", { nwDstAddress: "10.0.1.1", nwDstLength: 32 }],
    ["dst net 10.0.0.0/8", { nwDstAddress: "10.0.0.0", nwDstLength: 8 }],
    ["tcp dst port 80", { nwProto: 6, tpDst: one(80) }],
    ["src portrange 1000-2000", { tpSrc: { start: 1000, end: 2000 } }],
    ["ether src 02:00:00:00:00:AB", { dlSrc: "02:00:00:00:00:ab" }],
    ["ether dst host 2:0:0:0:0:1", { dlDst: "02:00:00:00:00:01" }],
    ["vlan 5", { vlan: 5 }],
    ["not vlan", { noVlan: true }],
    ["vlan", { noVlan: true, condInvert: true }],
    ["not vlan 5", { vlan: 5, condInvert: true }],
    ["icmptype 8", { dlType: 0x0800, nwProto: 1, tpSrc: one(8) }],
    ["icmptype echo-request and icmpcode 0", { dlType: 0x0800, nwProto: 1, tpSrc: one(8), tpDst: one(0) }],
    ["icmptype icmp-echoreply", { dlType: 0x0800, nwProto: 1, tpSrc: one(0) }],
    ["tos 0x10", { nwTos: 16 }],
    [`inport ${P.toUpperCase()}`, { inPorts: [P] }],
    ["not tcp", { nwProto: 6, invNwProto: true }],
    ["!tcp", { nwProto: 6, invNwProto: true }],
    ["not not tcp", { nwProto: 6 }],
    ["not icmp", { dlType: 0x0800, nwProto: 1, condInvert: true }],
    ["ip and not icmp", { dlType: 0x0800, nwProto: 1, invNwProto: true }],
    ["not icmp and ip", { dlType: 0x0800, nwProto: 1, invNwProto: true }],
    ["icmp and not icmptype 8", { dlType: 0x0800, nwProto: 1, tpSrc: one(8), invTpSrc: true }],
    ["tcp && not src net 10.0.0.0/8", { nwProto: 6, nwSrcAddress: "10.0.0.0", nwSrcLength: 8, invNwSrc: true }],
    [
      "(tcp and (dst port 80)) src host 1.2.3.4",
      { nwProto: 6, tpDst: one(80), nwSrcAddress: "1.2.3.4", nwSrcLength: 32 },
    ],
    ["udp and not (dst port 53)", { nwProto: 17, tpDst: one(53), invTpDst: true }],
    ["not (tcp and dst port 80)", { nwProto: 6, tpDst: one(80), condInvert: true }],
    ["!(tcp&&dst port 80)", { nwProto: 6, tpDst: one(80), condInvert: true }],
    ["not (not (tcp))", { nwProto: 6 }],
    ["not (tcp)", { nwProto: 6, condInvert: true }],
    ["not any", { condInvert: true }],
  ];
  for (const [text, condition] of good) test(`\`${text}\``, () => assert.deepEqual(parseExpression(text), condition));

  const bad: readonly (readonly [string, number, RegExp])[] = [
    ["port 80", 1, /`port 80` means source or destination; write `dst port 80` or `src port 80`, or create two traces/],
    ["tcp port 80", 5, /`dst port 80`/],
    ["host 10.0.0.1", 1, /`dst host 10.0.0.1`/],
    ["net 10.0.0.0/8", 1, /`dst net 10.0.0.0\/8`/],
    ["portrange 1-2", 1, /`dst portrange 1-2`/],
    ["ether host 02:00:00:00:00:01", 1, /`ether src 02:00:00:00:00:01`/],
    ["tcp or udp", 5, /cannot say `or`/],
    ["tcp || udp", 5, /cannot say `or`/],
    ["src or dst port 80", 1, /one direction/],
    ["tcp and", 8, /\(end\).*missing/],
    ["and tcp", 1, /missing/],
    ["(tcp", 5, /opened at position 1 is not closed/],
    ["tcp)", 4, /no parenthesis/],
    ["()", 2, /missing/],
    ["tcpp", 1, /did you mean "tcp"/],
    ["constructor", 1, /unknown word/],
    ["icmptype __proto__", 10, /ICMP type/],
    ["dst port http", 10, /number from 0 to 65535/],
    ["dst port 65536", 10, /65535/],
    ["dst portrange 5-1", 15, /last L4 port/],
    ["proto 0", 7, /from 1 to 255/],
    ["vlan 4095", 6, /4094/],
    ["dst net 10.0.0.1/8", 9, /write 10.0.0.0\/8/],
    ["dst net 10.0.0.1", 9, /network/],
    ["dst host 10.0.0.0/8", 10, /`net` for a network/],
    ["dst host fe80::1", 10, /IPv4/],
    ["src tcp", 5, /`host`, `net`/],
    ["tcp and udp", 9, /nwProto is already/],
    ["tcp and not tcp", 13, /nothing can match/],
    ["tcp and not udp", 13, /already asked/],
    ["tcp and not icmp", 13, /ip and not icmp/],
    ["tcp and vlan", 9, /`vlan N`/],
    ["tcp and not vlan 5", 13, /no inversion/],
    ["tcp and not (udp and dst port 1)", 13, /whole expression/],
    ["tcp & udp", 5, /`and`/],
    ["inport br1/p1", 8, /UUID/],
    [`${"(".repeat(10_000)}tcp`, 51, /parentheses/],
  ];
  for (const [text, position, message] of bad)
    test(`\`${text.slice(0, 60)}\` is refused`, () => {
      assert.throws(
        () => parseExpression(text),
        (e: unknown) => {
          assert.ok(e instanceof MidotraceError && e.code === "BAD_EXPRESSION");
          assert.match(e.message, message);
          assert.deepEqual(e.violations, [{ property: "position", message: String(position) }]);
          assert.ok(e.message.startsWith(`position ${position} (`), e.message);
          return true;
        },
      );
    });

  test("any text parses or is refused, never anything else", () => {
    const word = fc.constantFrom(
      "tcp",
      "icmp",
      "not",
      "(",
      ")",
      "and",
      "or",
      "src",
      "dst",
      "port",
      "80",
      "vlan",
      "any",
      "ip",
      "x",
      "!",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word).map((w) => w.join(" ")),
        ),
        (text) => {
          try {
            const c = parseExpression(text);
            assert.deepEqual(parseExpression(describeCondition(c)), c);
          } catch (e) {
            assert.ok(e instanceof MidotraceError && e.code === "BAD_EXPRESSION", String(e));
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  test("what describes a condition reads back to the same condition", () => {
    fc.assert(
      fc.property(sayableConditionArb, (c) => {
        const text = describeCondition(c);
        assert.ok(sameCondition(parseExpression(text), c), text);
      }),
      { numRuns: 3000 },
    );
  });

  test("what the language cannot say is shown as field=value", () => {
    const c: Condition = {
      nwProto: 6,
      portGroup: "g",
      invPortGroup: true,
      dlSrc: "02:00:00:00:00:01",
      dlSrcMask: "ffff.0000.0000",
    };
    assert.equal(describeCondition(c), "portGroup!=g and dlSrc=02:00:00:00:00:01/ffff.0000.0000 and tcp");
    assert.equal(describeCondition({ fragmentPolicy: "unfragmented" }), "fragmentPolicy=unfragmented");
  });
});
