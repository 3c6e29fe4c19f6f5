import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { F, FlowMatch, fieldNames, UNTAGGED } from "#core/flows";
import { CompiledCondition, type Condition, EvaluationContext, evaluate, SUB_CONDITION_FIELDS } from "./kit.ts";
import { GROUP_A, GROUP_B, groupView, PORT_A, PORT_B, portDevice } from "../../support/topology-arbitraries.ts";

const TCP: Partial<FlowMatch> = {
  ethSrc: 0x020000000001,
  ethDst: 0x020000000002,
  etherType: 0x0800,
  vlan: 5,
  nwProto: 6,
  nwSrc: 0x0a000101,
  nwDst: 0x0a000201,
  nwTos: 8,
  nwTtl: 64,
  tpSrc: 1234,
  tpDst: 80,
};
const packet = (fields: Partial<FlowMatch> = {}): FlowMatch => Object.assign(new FlowMatch(), TCP, fields);

function context(m: FlowMatch): EvaluationContext {
  const ctx = new EvaluationContext(groupView, m);
  ctx.inPort = portDevice(PORT_A, [GROUP_A]);
  ctx.outPort = portDevice(PORT_B, [GROUP_B]);
  ctx.firstGroups = new Set([GROUP_A]);
  ctx.originalNwDst = m.nwDst;
  ctx.tags = ["dev:traversed"];
  ctx.icmpDataSrc = 0x0a000101;
  ctx.icmpDataDst = 0x0a000201;
  return ctx;
}

interface Row {
  readonly yes: Condition;
  readonly no: Condition;
  readonly inversion?: keyof Condition;
  /** Exactly the fields that may be seen. */
  readonly sees: number;
}

/** One row per field: a condition that the packet above meets, and one that it does not. */
const ROWS: Readonly<Record<string, Row>> = {
  matchForwardFlow: { yes: { matchForwardFlow: true }, no: { matchReturnFlow: true }, sees: 0 },
  inPorts: { yes: { inPorts: [PORT_A] }, no: { inPorts: [PORT_B] }, inversion: "invInPorts", sees: 0 },
  outPorts: { yes: { outPorts: [PORT_B] }, no: { outPorts: [PORT_A] }, inversion: "invOutPorts", sees: 0 },
  portGroup: { yes: { portGroup: GROUP_A }, no: { portGroup: GROUP_B }, inversion: "invPortGroup", sees: 0 },
  inPortGroup: { yes: { inPortGroup: GROUP_A }, no: { inPortGroup: GROUP_B }, inversion: "invInPortGroup", sees: 0 },
  outPortGroup: {
    yes: { outPortGroup: GROUP_B },
    no: { outPortGroup: GROUP_A },
    inversion: "invOutPortGroup",
    sees: 0,
  },
  ipAddrGroupSrc: {
    yes: { ipAddrGroupSrc: GROUP_A },
    no: { ipAddrGroupSrc: GROUP_B },
    inversion: "invIpAddrGroupSrc",
    sees: F.NwSrc | F.EtherType,
  },
  ipAddrGroupDst: {
    yes: { ipAddrGroupDst: GROUP_A },
    no: { ipAddrGroupDst: GROUP_B },
    inversion: "invIpAddrGroupDst",
    sees: F.NwDst | F.EtherType,
  },
  traversedDevice: {
    yes: { traversedDevice: "traversed" },
    no: { traversedDevice: "other" },
    inversion: "invTraversedDevice",
    sees: 0,
  },
  vlan: { yes: { vlan: 5 }, no: { vlan: 6 }, sees: F.Vlan },
  noVlan: { yes: {}, no: { noVlan: true }, sees: F.Vlan },
  dlType: { yes: { dlType: 0x0800 }, no: { dlType: 0x0806 }, inversion: "invDlType", sees: F.EtherType },
  dlSrc: {
    yes: { dlSrc: "02:00:00:00:00:01" },
    no: { dlSrc: "02:00:00:00:00:02" },
    inversion: "invDlSrc",
    sees: F.EthSrc,
  },
  dlSrcMask: {
    yes: { dlSrc: "02:00:00:00:00:ff", dlSrcMask: "ffff.ffff.ff00" },
    no: { dlSrc: "04:00:00:00:00:ff", dlSrcMask: "ff00.0000.0000" },
    inversion: "invDlSrc",
    sees: F.EthSrc,
  },
  dlDst: {
    yes: { dlDst: "02:00:00:00:00:02" },
    no: { dlDst: "02:00:00:00:00:01" },
    inversion: "invDlDst",
    sees: F.EthDst,
  },
  nwTos: { yes: { nwTos: 8 }, no: { nwTos: 9 }, inversion: "invNwTos", sees: F.NwTos },
  nwProto: { yes: { nwProto: 6 }, no: { nwProto: 17 }, inversion: "invNwProto", sees: F.NwProto },
  nwSrcAddress: {
    yes: { nwSrcAddress: "10.0.1.99", nwSrcLength: 24 },
    no: { nwSrcAddress: "10.0.1.99" },
    inversion: "invNwSrc",
    sees: F.NwSrc | F.EtherType,
  },
  nwDstAddress: {
    yes: { nwDstAddress: "10.0.2.1" },
    no: { nwDstAddress: "10.0.3.0", nwDstLength: 24 },
    inversion: "invNwDst",
    sees: F.NwDst | F.EtherType,
  },
  tpSrc: {
    yes: { tpSrc: { start: 1000, end: 2000 } },
    no: { tpSrc: { start: null, end: 1000 } },
    inversion: "invTpSrc",
    sees: F.TpSrc | F.NwProto | F.Fragment,
  },
  tpDst: {
    yes: { tpDst: { start: 80, end: null } },
    no: { tpDst: { start: 81, end: 81 } },
    inversion: "invTpDst",
    sees: F.TpDst | F.NwProto | F.Fragment,
  },
  icmpDataSrcIpAddress: {
    yes: { icmpDataSrcIpAddress: "10.0.1.0", icmpDataSrcIpLength: 24 },
    no: { icmpDataSrcIpAddress: "10.0.9.0", icmpDataSrcIpLength: 24 },
    inversion: "invIcmpDataSrcIp",
    sees: F.IcmpData,
  },
  icmpDataDstIpAddress: {
    yes: { icmpDataDstIpAddress: "10.0.2.1" },
    no: { icmpDataDstIpAddress: "10.0.2.2" },
    inversion: "invIcmpDataDstIp",
    sees: F.IcmpData,
  },
  fragmentPolicy: { yes: { fragmentPolicy: "unfragmented" }, no: { fragmentPolicy: "nonheader" }, sees: F.Fragment },
  matchNwDstRewritten: { yes: {}, no: { matchNwDstRewritten: true }, sees: F.EtherType },
};

describe("evaluating a condition", () => {
  test("there is a row for every field", () => {
    const covered = new Set(Object.values(ROWS).flatMap((r) => [...Object.keys(r.yes), ...Object.keys(r.no)]));
    for (const field of SUB_CONDITION_FIELDS) assert.ok(covered.has(field), field);
  });

  for (const [field, row] of Object.entries(ROWS)) {
    test(`${field}: with and without inversion, seeing only what it needs`, () => {
      for (const [condition, expected] of [
        [row.yes, true],
        [row.no, false],
      ] as const) {
        const ctx = context(packet());
        assert.equal(evaluate(new CompiledCondition(condition), ctx), expected);
        assert.deepEqual(fieldNames(ctx.seen & ~row.sees), []);
        if (row.inversion === undefined) continue;
        const inverted = { ...condition, [row.inversion]: true };
        assert.equal(evaluate(new CompiledCondition(inverted), context(packet())), !expected, "inverted");
      }
      const fragmentFails = row.no.fragmentPolicy !== undefined;
      assert.equal(evaluate(new CompiledCondition({ ...row.yes, condInvert: true }), context(packet())), false);
      assert.equal(evaluate(new CompiledCondition({ ...row.no, condInvert: true }), context(packet())), !fragmentFails);
    });
  }

  test("the empty condition matches everything, inverted nothing, and sees nothing", () => {
    const ctx = context(packet());
    assert.equal(evaluate(new CompiledCondition({}), ctx), true);
    assert.equal(evaluate(new CompiledCondition({ condInvert: true }), ctx), false);
    assert.equal(ctx.seen, 0);
  });

  test("an inversion without its field, and nwProto, nwTos, vlan 0, are unset", () => {
    const ctx = context(packet());
    const c = { invNwProto: true, invDlSrc: true, nwProto: 0, nwTos: 0, vlan: 0, inPorts: [], invInPorts: true };
    assert.equal(evaluate(new CompiledCondition(c), ctx), true);
    assert.equal(ctx.seen, 0);
  });

  test("stops at the first sub-condition that fails and says which", () => {
    const ctx = context(packet());
    assert.equal(
      evaluate(new CompiledCondition({ dlType: 0x0806, nwProto: 1, tpDst: { start: 1, end: 1 } }), ctx),
      false,
    );
    assert.deepEqual(fieldNames(ctx.seen), ["EtherType", "Fragment"]);
  });

  test("what has no address is in no network; what has no transport is in every port range", () => {
    const lldp = packet({
      etherType: 0x88cc,
      nwProto: 0,
      nwSrc: 0,
      nwDst: 0,
      tpSrc: 0,
      tpDst: 0,
      nwTos: 0,
      vlan: UNTAGGED,
    });
    const run = (c: Condition): boolean => evaluate(new CompiledCondition(c), context(lldp));
    assert.equal(run({ nwSrcAddress: "0.0.0.0", nwSrcLength: 0 }), false);
    assert.equal(run({ nwSrcAddress: "0.0.0.0", nwSrcLength: 0, invNwSrc: true }), true);
    assert.equal(run({ tpDst: { start: 80, end: 80 } }), true);
    assert.equal(run({ tpSrc: { start: 80, end: 80 } }), true);
    assert.equal(run({ tpSrc: { start: 80, end: 80 }, invTpSrc: true }), false);
  });

  test("only the leading bits of the prefix are seen", () => {
    const ctx = context(packet());
    evaluate(
      new CompiledCondition({ nwSrcAddress: "10.0.0.0", nwSrcLength: 8, nwDstAddress: "10.0.2.0", nwDstLength: 24 }),
      ctx,
    );
    assert.deepEqual([ctx.nwSrcBits, ctx.nwDstBits], [8, 24]);
  });

  test("fields that an earlier device wrote are not seen", () => {
    const ctx = context(packet());
    ctx.rewritten = F.NwDst | F.EthDst;
    evaluate(new CompiledCondition({ dlDst: "02:00:00:00:00:02", nwDstAddress: "10.0.2.1" }), ctx);
    assert.deepEqual([fieldNames(ctx.seen), ctx.nwDstBits], [["EtherType"], 0]);
  });

  test("later fragments: header conditions never match them, even inverted as a whole", () => {
    const later = context(packet({ fragment: 2, tpSrc: 0, tpDst: 0 }));
    assert.equal(evaluate(new CompiledCondition({ tpDst: { start: 80, end: 80 }, condInvert: true }), later), false);
    assert.equal(evaluate(new CompiledCondition({ fragmentPolicy: "nonheader" }), later), true);
  });

  test("an address group that is not loaded is reported", () => {
    const ctx = context(packet());
    ctx.view = { ...groupView, ipAddrGroup: () => undefined };
    evaluate(new CompiledCondition({ ipAddrGroupSrc: GROUP_A }), ctx);
    assert.equal(ctx.missingGroup, GROUP_A);
  });
});
