import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { conditionFields } from "#core/api-contract";
import { applySmallNetwork, at, clientOf, type Rig, startRig } from "./api-support.ts";

const A = "0a1b2c3d-0000-4000-8000-0000000000aa";
const B = "0a1b2c3d-0000-4000-8000-0000000000bb";

interface Row {
  /** What a field that was not given reads as. */
  readonly absent: unknown;
  /** Sent → read back. */
  readonly good: readonly (readonly [sent: unknown, read: unknown])[];
  readonly bad: readonly unknown[];
  /** Fields that have to be there for this one to mean something. */
  readonly with?: Readonly<Record<string, unknown>>;
  /** Where the violation points, below the field. */
  readonly at?: string;
}

const flag: Row = {
  absent: false,
  good: [
    [true, true],
    ["true", true],
    [false, false],
    ["false", false],
    [null, false],
  ],
  bad: [1, "yes", {}],
};
const inverse = (of: Readonly<Record<string, unknown>>): Row => ({ ...flag, with: of });
const uuid: Row = {
  absent: null,
  good: [
    [A, A],
    [A.toUpperCase(), A],
    [null, null],
  ],
  bad: ["tr0", 7, [A]],
};
const uuids: Row = {
  absent: null,
  good: [
    [[A], [A]],
    [
      [B, A, B.toUpperCase()],
      [A, B],
    ],
    [[], null],
    [null, null],
  ],
  bad: [A, ["x"], [7]],
};
const u8: Row = {
  absent: null,
  good: [
    [6, 6],
    ["17", 17],
    [255, 255],
    // MidoNet takes 0 for absent here.
    [0, null],
    [null, null],
  ],
  bad: [-1, 256, "tcp", 1.5, true],
};
const mac: Row = {
  absent: null,
  good: [
    ["02:00:00:00:00:0A", "02:00:00:00:00:0a"],
    ["2:0:0:0:0:a", "02:00:00:00:00:0a"],
    ["02-00-00-00-00-0a", "02:00:00:00:00:0a"],
    [null, null],
  ],
  bad: ["02:00:00:00:00", "02:00:00:00:00:00:01", "x", 7],
};
const macMask = (name: string): Row => ({
  absent: null,
  with: { [name]: "02:00:00:00:00:01" },
  good: [
    ["ffff.ff00.0000", "ffff.ff00.0000"],
    ["FFFF.FF00.0000", "ffff.ff00.0000"],
    ["ffff.ffff.ffff", null],
    [null, null],
  ],
  bad: ["ffff.ff00", "ff:ff:ff:00:00:00", "ffff.ff00.000g"],
});
const ipv4: Row = {
  absent: null,
  good: [
    ["10.0.1.10", "10.0.1.10"],
    [null, null],
  ],
  bad: ["10.0.1", "10.0.1.256", "::1", 7],
};
const length = (address: string): Row => ({
  absent: 0,
  with: { [address]: "10.0.1.10" },
  good: [
    [24, 24],
    ["32", 32],
    [0, 0],
    // An address without a length is that one address; MidoNet takes all of them.
    [null, 32],
  ],
  bad: [-1, 33, "x"],
});
const range: Row = {
  absent: null,
  good: [
    [
      { start: "100", end: "200" },
      { start: 100, end: 200 },
    ],
    [
      { start: 80, end: 80 },
      { start: 80, end: 80 },
    ],
    [
      { start: 1024, end: null },
      { start: 1024, end: 65535 },
    ],
    [null, null],
  ],
  bad: [{ start: 200, end: 100 }, 80, "80", [80], { start: "http" }],
};

/** Every row of the table of midonet-rest 6.2. */
const ROWS: Readonly<Record<keyof typeof conditionFields, Row>> = {
  condInvert: flag,
  matchForwardFlow: flag,
  matchReturnFlow: flag,
  inPorts: uuids,
  invInPorts: inverse({ inPorts: [A] }),
  outPorts: uuids,
  invOutPorts: inverse({ outPorts: [A] }),
  portGroup: uuid,
  invPortGroup: inverse({ portGroup: A }),
  inPortGroup: uuid,
  invInPortGroup: inverse({ inPortGroup: A }),
  outPortGroup: uuid,
  invOutPortGroup: inverse({ outPortGroup: A }),
  ipAddrGroupSrc: uuid,
  invIpAddrGroupSrc: inverse({ ipAddrGroupSrc: A }),
  ipAddrGroupDst: uuid,
  invIpAddrGroupDst: inverse({ ipAddrGroupDst: A }),
  traversedDevice: uuid,
  invTraversedDevice: inverse({ traversedDevice: A }),
  noVlan: flag,
  vlan: {
    absent: null,
    good: [
      [5, 5],
      ["4094", 4094],
      [0, null],
      [null, null],
    ],
    bad: [-1, 4095, "x"],
  },
  dlType: {
    absent: null,
    good: [
      ["2048", 2048],
      [0x0600, 0x0600],
      [0xffff, 0xffff],
      [null, null],
    ],
    bad: [0, 0x05ff, 0x10000, "ip"],
  },
  invDlType: inverse({ dlType: 2048 }),
  dlSrc: mac,
  dlSrcMask: macMask("dlSrc"),
  invDlSrc: inverse({ dlSrc: "02:00:00:00:00:01" }),
  dlDst: mac,
  dlDstMask: macMask("dlDst"),
  invDlDst: inverse({ dlDst: "02:00:00:00:00:01" }),
  nwTos: u8,
  invNwTos: inverse({ nwTos: 1 }),
  nwProto: u8,
  invNwProto: inverse({ nwProto: 6 }),
  nwSrcAddress: ipv4,
  nwSrcLength: length("nwSrcAddress"),
  invNwSrc: inverse({ nwSrcAddress: "10.0.1.10", nwSrcLength: 32 }),
  nwDstAddress: ipv4,
  nwDstLength: length("nwDstAddress"),
  invNwDst: inverse({ nwDstAddress: "10.0.1.10", nwDstLength: 32 }),
  tpSrc: range,
  invTpSrc: inverse({ tpSrc: { start: 1, end: 2 } }),
  tpDst: range,
  invTpDst: inverse({ tpDst: { start: 1, end: 2 } }),
  fragmentPolicy: {
    absent: "any",
    good: [
      ["any", "any"],
      ["header", "header"],
      ["nonheader", "nonheader"],
      ["unfragmented", "unfragmented"],
      [null, "any"],
    ],
    bad: ["ANY", "some", 7],
  },
  icmpDataSrcIpAddress: ipv4,
  icmpDataSrcIpLength: length("icmpDataSrcIpAddress"),
  invIcmpDataSrcIp: inverse({ icmpDataSrcIpAddress: "10.0.1.10" }),
  icmpDataDstIpAddress: ipv4,
  icmpDataDstIpLength: length("icmpDataDstIpAddress"),
  invIcmpDataDstIp: inverse({ icmpDataDstIpAddress: "10.0.1.10" }),
  matchNwDstRewritten: flag,
};

describe("the condition, field by field (midonet-rest 6.2)", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  const { get } = clientOf(() => rig);
  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
  });
  after(() => rig.stop());

  const traceOf = (condition: object | undefined) => ({
    path: "/traces",
    body: { name: "t", deviceType: "ROUTER", deviceId: ids.get("r1"), condition },
  });
  const ruleOf = (condition: object | undefined) => ({
    path: `/chains/${ids.get("in")}/rules`,
    body: { type: "accept", ...condition },
  });

  for (const [what, formOf, prefix] of [
    ["a trace request", traceOf, "condition."],
    ["a rule", ruleOf, ""],
  ] as const) {
    const read = async (condition: object | undefined): Promise<unknown> => {
      const { path, body } = formOf(condition);
      const answer = await rig.ask("POST", path, { body });
      assert.equal(answer.status, 201, `${JSON.stringify(condition)}: ${answer.text}`);
      const shown = await get(String(answer.headers.location));
      return prefix === "" ? shown : at(shown, "condition");
    };
    for (const [field, row] of Object.entries(ROWS))
      it(`${field} of ${what}`, async () => {
        assert.deepEqual(at(await read({}), field), row.absent, "absent");
        for (const [sent, expected] of row.good)
          assert.deepEqual(at(await read({ ...row.with, [field]: sent }), field), expected, JSON.stringify(sent));
        for (const wrong of row.bad) {
          const { path, body } = formOf({ ...row.with, [field]: wrong });
          const answer = await rig.ask("POST", path, { body });
          assert.equal(answer.status, 400, `${JSON.stringify(wrong)}: ${answer.text}`);
          const property = String(at(answer.json, "violations.0.property"));
          assert.ok(
            property === `${prefix}${field}` ||
              property.startsWith(`${prefix}${field}.`) ||
              property.startsWith(`${prefix}${field}[`),
            `${JSON.stringify(wrong)}: ${property}`,
          );
        }
      });

    it(`the fragment policy of ${what} that names L4 ports`, async () => {
      const tpDst = { start: 80, end: 80 };
      assert.equal(at(await read({ tpDst }), "fragmentPolicy"), "header", "the default");
      for (const fragmentPolicy of ["header", "unfragmented"])
        assert.equal(at(await read({ tpDst, fragmentPolicy }), "fragmentPolicy"), fragmentPolicy);
      for (const fragmentPolicy of ["any", "nonheader"]) {
        const { path, body } = formOf({ tpDst, fragmentPolicy });
        const answer = await rig.ask("POST", path, { body });
        assert.deepEqual(
          [answer.status, at(answer.json, "violations.0.property")],
          [400, `${prefix}fragmentPolicy`],
          answer.text,
        );
      }
    });

    it(`a length, mask or inversion of ${what} without its field means nothing`, async () => {
      const shown = await read({ nwSrcLength: 24, dlSrcMask: "ffff.0000.0000", invNwProto: true, invTpDst: "true" });
      assert.deepEqual(
        ["nwSrcLength", "dlSrcMask", "invNwProto", "invTpDst"].map((f) => at(shown, f)),
        [0, null, false, false],
      );
    });

    it(`everything that is wrong in ${what} is named at once`, async () => {
      const { path, body } = formOf({ nwProto: 300, dlSrc: "x", nwSrcAddress: "y" });
      const answer = await rig.ask("POST", path, { body });
      const properties = (at(answer.json, "violations") as { property: string }[]).map((v) => v.property);
      assert.deepEqual(new Set(properties), new Set(["nwProto", "dlSrc", "nwSrcAddress"].map((f) => prefix + f)));
    });
  }

  it("an absent condition, null and an empty object match everything; in answers it is never null", async () => {
    for (const condition of [undefined, null, {}]) {
      const body = { ...traceOf(undefined).body, condition };
      const answer = await rig.ask("POST", "/traces", { body });
      assert.equal(answer.status, 201, answer.text);
      const shown = at(await get(String(answer.headers.location)), "condition") as Readonly<Record<string, unknown>>;
      assert.equal(shown["uri"], null);
      for (const [field, row] of Object.entries(ROWS)) assert.deepEqual(shown[field], row.absent, field);
    }
  });

  it("every address has its length beside it", async () => {
    for (const address of ["nwSrcAddress", "nwDstAddress", "icmpDataSrcIpAddress", "icmpDataDstIpAddress"]) {
      const { path, body } = traceOf({ [address]: "10.0.0.0" });
      const made = await rig.ask("POST", path, { body });
      const shown = at(await get(String(made.headers.location)), "condition");
      assert.equal(at(shown, address.replace("Address", "Length")), 32);
    }
  });

  it("logs no defect in all of this", () => {
    assert.deepEqual(rig.log, [`listening on ${rig.url}`]);
  });
});
