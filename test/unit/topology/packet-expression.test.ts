import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MidotraceError } from "#core/base";
import { parsePacketExpression } from "#core/topology";
import * as fc from "fast-check";

const LINK = { ethSrc: null, ethDst: null, vlan: null };
const IP = { ...LINK, src: 0x0a00010a, dst: 0x0a000214, ttl: 64, lengthBytes: 0 };

describe("packet expressions", () => {
  const good: readonly (readonly [string, object])[] = [
    ["icmp 10.0.1.10 > 10.0.2.20", { kind: "icmp", ...IP, type: 8, code: 0, id: 1, seq: 1 }],
    [
      "icmp 10.0.1.10 > 10.0.2.20 id 7 seq 2 type 3 code 1 ttl 2 length 56",
      { kind: "icmp", ...IP, ttl: 2, lengthBytes: 56, type: 3, code: 1, id: 7, seq: 2 },
    ],
    ["tcp 10.0.1.10:1234 > 10.0.2.20:80", { kind: "tcp", ...IP, srcPort: 1234, dstPort: 80, flags: 2 }],
    ["TCP 10.0.1.10:1234 > 10.0.2.20:80 flags S.", { kind: "tcp", ...IP, srcPort: 1234, dstPort: 80, flags: 18 }],
    [
      "eth 2:0:0:0:0:1 > ff:ff:ff:ff:ff:ff vlan 5 udp 10.0.1.10:1 > 10.0.2.20:53",
      { kind: "udp", ...IP, ethSrc: 0x020000000001, ethDst: 0xffffffffffff, vlan: 5, srcPort: 1, dstPort: 53 },
    ],
    ["arp who-has 10.0.2.20 tell 10.0.1.10", { kind: "arp", ...LINK, sender: 0x0a00010a, target: 0x0a000214 }],
    [
      "src=10.0.1.10,dst=10.0.2.20,proto=tcp,sport=1,dport=2,flags=FA",
      { kind: "tcp", ...IP, srcPort: 1, dstPort: 2, flags: 17 },
    ],
    ["proto=arp src=10.0.1.10 dst=10.0.2.20", { kind: "arp", ...LINK, sender: 0x0a00010a, target: 0x0a000214 }],
    [
      "proto=icmp,src=10.0.1.10,dst=10.0.2.20,ethsrc=2:0:0:0:0:1",
      { kind: "icmp", ...IP, ethSrc: 0x020000000001, type: 8, code: 0, id: 1, seq: 1 },
    ],
  ];
  for (const [text, spec] of good) test(text, () => assert.deepEqual(parsePacketExpression(text), spec));

  const bad: readonly (readonly [string, number, RegExp])[] = [
    ["", 1, /missing/],
    ["ipx 1.1.1.1 > 2.2.2.2", 1, /unknown word/],
    ["icpm 1.1.1.1 > 2.2.2.2", 1, /did you mean "icmp"/],
    ["icmp 1.1.1.1 2.2.2.2", 14, /`>`/],
    ["icmp 1.1.1 > 2.2.2.2", 6, /IPv4 address/],
    ["icmp 1.1.1.1:5 > 2.2.2.2", 6, /no ports/],
    ["icmp 1.1.1.1 > 2.2.2.2 flags S", 30, /no flags/],
    ["icmp 1.1.1.1 > 2.2.2.2 ttl 256", 28, /0 to 255/],
    ["tcp 1.1.1.1 > 2.2.2.2:80", 25, /source L4 port/],
    ["tcp 1.1.1.1:99999 > 2.2.2.2:80", 13, /65535/],
    ["tcp 1.1.1.1:1 > 2.2.2.2:80 flags Q", 34, /letters/],
    ["udp 1.1.1.1:1 > 2.2.2.2:80 vlan 0", 33, /1 to 4094/],
    ["arp who-has 1.1.1.1", 20, /`tell`/],
    ["arp 1.1.1.1", 5, /who-has/],
    ["tcp 1.1.1.1:1 > 2.2.2.2:80 tcp 1.1.1.1:1 > 2.2.2.2:80", 28, /twice/],
    ["src=1.1.1.1,dst=2.2.2.2", 24, /kind of packet/],
    ["src=1.1.1.1,dts=2.2.2.2,proto=icmp", 13, /did you mean "dst"/],
    ["proto=gre,src=1.1.1.1,dst=2.2.2.2", 7, /one of icmp/],
    ["proto=icmp,src=1.1.1.1,dst", 24, /key=value/],
    ["eth 1 > 2 icmp 1.1.1.1 > 2.2.2.2", 5, /MAC/],
  ];
  for (const [text, position, message] of bad)
    test(`"${text}" is refused`, () => {
      assert.throws(
        () => parsePacketExpression(text),
        (e: unknown) => {
          assert.ok(e instanceof MidotraceError && e.code === "BAD_EXPRESSION");
          assert.match(e.message, message);
          assert.equal(e.violations[0]?.message, String(position));
          return true;
        },
      );
    });

  test("any text is read or refused", () => {
    const word = fc.constantFrom(
      "tcp",
      "icmp",
      "arp",
      "who-has",
      "tell",
      ">",
      "1.1.1.1",
      "1.1.1.1:5",
      "eth",
      "vlan",
      "5",
      "src=1.1.1.1",
      "x=",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word).map((w) => w.join(" ")),
        ),
        (text) => {
          try {
            parsePacketExpression(text);
          } catch (e) {
            assert.ok(e instanceof MidotraceError && e.code === "BAD_EXPRESSION", String(e));
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
