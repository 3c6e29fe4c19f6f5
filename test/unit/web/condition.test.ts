import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  conditionOfDto,
  conditionSentence,
  EMPTY_FORM,
  expressionOf,
  formOf,
  type Protocol,
  PROTOCOLS,
  readExpression,
} from "#apps/web/model";
import { conditionToFields } from "#core/api-contract";
import { parseExpression, sameCondition } from "#core/topology";
import * as fc from "fast-check";

const octet = fc.integer({ min: 1, max: 254 });
const address = fc.oneof(
  fc.constant(""),
  fc.tuple(octet, octet).map(([a, b]) => `10.${a}.${b}.7`),
  fc.tuple(octet, octet).map(([a, b]) => `10.${a}.${b}.0/24`),
);
const port = fc.oneof(
  fc.constant(""),
  fc.integer({ min: 1, max: 65_535 }).map(String),
  fc.tuple(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 200, max: 300 })).map(([a, b]) => `${a}-${b}`),
);
const form = fc.record({
  protocol: fc.constantFrom(...(Object.keys(PROTOCOLS) as Protocol[])),
  src: address,
  srcNot: fc.boolean(),
  dst: address,
  dstNot: fc.boolean(),
  srcPort: port,
  dstPort: port,
  vlan: fc.constantFrom("", "7"),
});

describe("the condition builder", () => {
  it("writes the expression that a person would", () => {
    const wanted = {
      ...EMPTY_FORM,
      protocol: "tcp",
      src: "10.0.1.0/24",
      dst: "10.0.2.2",
      dstNot: true,
      dstPort: "80",
    } as const;
    assert.equal(expressionOf(wanted), "tcp and src net 10.0.1.0/24 and not dst host 10.0.2.2 and dst port 80");
    assert.equal(expressionOf(EMPTY_FORM), "any");
    assert.equal(expressionOf({ ...EMPTY_FORM, protocol: "icmp", dstPort: "80" }), "icmp", "ICMP has no ports");
  });

  it("fields to expression to condition to fields to expression says the same", () => {
    fc.assert(
      fc.property(form, (fields) => {
        const text = expressionOf(fields);
        const condition = parseExpression(text);
        const back = formOf(condition);
        assert.ok(back !== null, text);
        assert.ok(sameCondition(parseExpression(expressionOf(back)), condition), text);
      }),
    );
  });

  it("has no fields for what it cannot say", () => {
    for (const text of ["not (tcp and dst port 80)", "ether src 02:00:00:00:00:01", "icmptype 8", "tos 4"])
      assert.equal(formOf(parseExpression(text)), null, text);
  });

  it("says where an expression is wrong, in the server's words", () => {
    const read = readExpression("tcp and dst prot 80");
    assert.ok(!read.ok);
    assert.equal(read.at, 13);
    assert.match(read.message, /prot/);
  });

  it("reads a condition as the API answers it", () => {
    for (const text of ["any", "tcp and dst port 80", "not (udp)", "icmp", "not src net 10.0.0.0/8"]) {
      const condition = parseExpression(text);
      const dto = { ...conditionToFields(condition), uri: null };
      assert.ok(sameCondition(conditionOfDto(dto), condition), text);
    }
  });
});

describe("the sentence of a condition", () => {
  const says = (text: string): string => conditionSentence(parseExpression(text), "router r1");
  const cases: readonly [expression: string, sentence: string][] = [
    ["any", "Every packet that enters router r1"],
    ["icmp", "ICMP packets entering router r1"],
    ["icmptype 8", "ICMP echo request packets entering router r1"],
    ["arp", "ARP messages entering router r1"],
    ["tcp and src net 10.0.1.0/24 and dst port 80", "TCP packets from 10.0.1.0/24 to port 80 entering router r1"],
    ["udp and not dst host 10.0.0.1", "UDP packets to anywhere but 10.0.0.1 entering router r1"],
    ["tcp and dst portrange 80-90 and vlan 5", "TCP packets to ports 80 to 90 on VLAN 5 entering router r1"],
    ["not (tcp and dst port 80)", "Every packet that enters router r1, except TCP packets to port 80"],
    ["tcp and tos 4", "TCP packets where tos 4 entering router r1"],
    ["ether src 02:00:00:00:00:01", "Packets from MAC 02:00:00:00:00:01 entering router r1"],
    ["not vlan", "Packets without a VLAN tag entering router r1"],
  ];
  for (const [expression, sentence] of cases) it(expression, () => assert.equal(says(expression), sentence));

  it("leaves nothing out: conditions that differ in a field read differently", () => {
    fc.assert(
      fc.property(form, form, (a, b) => {
        const [one, two] = [parseExpression(expressionOf(a)), parseExpression(expressionOf(b))];
        fc.pre(!sameCondition(one, two));
        assert.notEqual(conditionSentence(one, "x"), conditionSentence(two, "x"));
      }),
    );
  });
});
