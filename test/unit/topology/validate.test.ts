import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Violations } from "#core/base";
import {
  type Condition,
  describeCondition,
  normalizeCondition,
  sameCondition,
  validateCondition,
} from "#core/topology";
import * as topology from "#core/topology";
import * as fc from "fast-check";
import { conditionArb } from "../../support/topology-arbitraries.ts";
import { TopologyBuilder } from "../../support/topology-builder.ts";

/** "property" of each violation. */
function wrong(validate: (v: Violations) => void): string[] {
  const violations = new Violations();
  validate(violations);
  for (const v of violations.list) assert.match(v.message, /\S{3,}/);
  return violations.list.map((v) => v.property);
}

const conditionFaults = (c: object, prefix = ""): string[] => wrong((v) => validateCondition(c, prefix, v));

describe("validating conditions", () => {
  const faults: readonly (readonly [object, string])[] = [
    [{ dlType: 0x05ff }, "dlType"],
    [{ dlType: 0x1_0000 }, "dlType"],
    [{ nwProto: 256 }, "nwProto"],
    [{ nwTos: -1 }, "nwTos"],
    [{ nwTos: 1.5 }, "nwTos"],
    [{ vlan: 4095 }, "vlan"],
    [{ dlSrc: "02:00:00:00:00" }, "dlSrc"],
    [{ dlSrc: "02:00:00:00:00:01", dlSrcMask: "ff:ff" }, "dlSrcMask"],
    [{ dlDst: 5 }, "dlDst"],
    [{ nwSrcAddress: "10.0.0.256" }, "nwSrcAddress"],
    [{ nwSrcAddress: "10.0.0.1", nwSrcLength: 33 }, "nwSrcLength"],
    [{ nwDstAddress: "fe80::1" }, "nwDstAddress"],
    [{ tpSrc: { start: 2, end: 1 } }, "tpSrc"],
    [{ tpSrc: { start: -1, end: 1 } }, "tpSrc.start"],
    [{ tpDst: { start: 0, end: 65536 } }, "tpDst.end"],
    [{ tpDst: 80 }, "tpDst"],
    [{ fragmentPolicy: "some" }, "fragmentPolicy"],
    [{ tpDst: { start: 1, end: 1 }, fragmentPolicy: "any" }, "fragmentPolicy"],
    [{ tpDst: { start: 1, end: 1 }, fragmentPolicy: "nonheader" }, "fragmentPolicy"],
    [{ inPorts: ["x"] }, "inPorts[0]"],
    [{ inPorts: "x" }, "inPorts"],
    [{ portGroup: "red" }, "portGroup"],
    [{ condInvert: "yes" }, "condInvert"],
    [{ invNwSrc: 1 }, "invNwSrc"],
  ];
  for (const [condition, property] of faults)
    test(`${JSON.stringify(condition)} is refused at ${property}`, () => {
      assert.deepEqual(conditionFaults(condition), [property]);
      assert.deepEqual(conditionFaults(condition, "condition"), [`condition.${property}`]);
    });

  for (const good of [
    {},
    { dlType: 0x0600, nwProto: 0, nwTos: 255, vlan: 0 },
    { nwSrcLength: 99, dlSrcMask: "x" },
    { nwSrcAddress: null, tpSrc: null, inPorts: null, condInvert: null },
    { tpSrc: { start: 0, end: 0 }, tpDst: { start: null, end: 5 } },
    { tpSrc: { start: 1, end: 1 }, fragmentPolicy: "unfragmented" },
    { dlSrc: "2:0:0:0:0:1", dlSrcMask: "FFFF.ff00.0000" },
  ])
    test(`${JSON.stringify(good)} is accepted`, () => assert.deepEqual(conditionFaults(good), []));

  test("all faults are found at once", () => {
    assert.deepEqual(conditionFaults({ dlType: 1, nwProto: 999, nwSrcAddress: "x" }), [
      "dlType",
      "nwProto",
      "nwSrcAddress",
    ]);
  });
});

describe("validating records", () => {
  const t = new TopologyBuilder().bridge("b").port("b/p", { host: "h" }).router("r").routerPort("r/p", "10.0.0.1/24");
  t.chain("c", [{ type: "jump", to: "c2" }, { type: "accept" }, { type: "rev_dnat" }])
    .portGroup("g", [])
    .ipAddrGroup("a", []);
  t.trace("t", "b");
  const records = t.records();
  const rule = records.rules[0] as topology.RuleRecord;
  const routerPort = records.ports.find((p) => p.type === "Router") as topology.RouterPortRecord;
  const bridgePort = records.ports.find((p) => p.type === "Bridge") as topology.BridgePortRecord;
  const nat = (natTargets: unknown, condition: Condition = {}): topology.RuleRecord =>
    ({ ...rule, type: "snat", flowAction: "accept", natTargets, condition }) as topology.RuleRecord;
  const target = { addressFrom: "10.0.0.1", addressTo: "10.0.0.2", portFrom: 1, portTo: 2 };

  test("what the builder makes is valid", () => {
    const all = wrong((v) => {
      for (const x of records.bridges) topology.validateBridge(x, v);
      for (const x of records.routers) topology.validateRouter(x, v);
      for (const x of records.ports) topology.validatePort(x, v);
      for (const x of records.chains) topology.validateChain(x, v);
      for (const x of records.rules) topology.validateRule(x, v);
      for (const x of records.routes) topology.validateRoute(x, v);
      for (const x of records.hosts) topology.validateHost(x, v);
      for (const x of records.tunnelZones) topology.validateTunnelZone(x, v);
      for (const x of records.tunnelZoneMembers) topology.validateTunnelZoneMember(x, v);
      for (const x of records.portGroups) topology.validatePortGroup(x, v);
      for (const x of records.ipAddrGroups) topology.validateIpAddrGroup(x, v);
      for (const x of records.traces) topology.validateTraceRequest(x, v);
    });
    assert.deepEqual(all, []);
  });

  const port = (fields: object): string[] => wrong((v) => topology.validatePort({ ...routerPort, ...fields }, v, "p"));
  const cases: readonly (readonly [string, () => string[], readonly string[]])[] = [
    [
      "name too long",
      () => wrong((v) => topology.validateBridge({ ...records.bridges[0], name: "x".repeat(256) } as never, v)),
      ["name"],
    ],
    ["port MAC multicast", () => port({ portMac: "01:00:00:00:00:01" }), ["p.portMac"]],
    ["port address", () => port({ portAddress: "224.0.0.1" }), ["p.portAddress"]],
    ["port length", () => port({ networkLength: 33 }), ["p.networkLength"]],
    ["half a binding", () => port({ hostId: null, interfaceName: "tap" }), ["p.hostId"]],
    [
      "bound and linked",
      () => port({ hostId: routerPort.id, interfaceName: "tap", peerId: bridgePort.id }),
      ["p.peerId"],
    ],
    ["linked to itself", () => port({ peerId: routerPort.id }), ["p.peerId"]],
    ["tunnel key", () => port({ tunnelKey: 0x10_0000 }), ["p.tunnelKey"]],
    ["bridge port VLAN", () => wrong((v) => topology.validatePort({ ...bridgePort, vlanId: 4095 }, v)), ["vlanId"]],
    [
      "port outside its network",
      () =>
        wrong((v) =>
          topology.validatePortNetwork({ networkAddress: "10.1.0.0", portAddress: "10.0.0.1", networkLength: 24 }, v),
        ),
      ["portAddress"],
    ],
    [
      "jump to nowhere",
      () => wrong((v) => topology.validateRule({ ...rule, jumpChainId: null } as never, v)),
      ["jumpChainId"],
    ],
    ["rule type", () => wrong((v) => topology.validateRule({ ...rule, type: "burn" } as never, v)), ["type"]],
    ["no NAT targets", () => wrong((v) => topology.validateRule(nat([]), v)), ["natTargets"]],
    [
      "NAT range",
      () => wrong((v) => topology.validateRule(nat([{ ...target, portTo: 0 }]), v)),
      ["natTargets[0].portTo"],
    ],
    [
      "NAT address",
      () => wrong((v) => topology.validateRule(nat([{ ...target, addressTo: "9.0.0.1" }]), v)),
      ["natTargets[0].addressTo"],
    ],
    [
      "NAT fragments",
      () => wrong((v) => topology.validateRule(nat([target], { fragmentPolicy: "any" }), v)),
      ["fragmentPolicy"],
    ],
    ["rule condition", () => wrong((v) => topology.validateRule({ ...rule, condition: { dlType: 1 } }, v)), ["dlType"]],
    [
      "route",
      () =>
        wrong((v) =>
          topology.validateRoute(
            { ...records.routes[0], nextHopPort: null, weight: -1, dstNetworkLength: 33 } as never,
            v,
          ),
        ),
      ["dstNetworkLength", "nextHopPort", "weight"],
    ],
    [
      "zone",
      () => wrong((v) => topology.validateTunnelZone({ ...records.tunnelZones[0], name: "", type: "x" } as never, v)),
      ["name", "type"],
    ],
    [
      "member",
      () =>
        wrong((v) =>
          topology.validateTunnelZoneMember({ ...records.tunnelZoneMembers[0], ipAddress: "0.0.0.0" } as never, v),
        ),
      ["ipAddress"],
    ],
    ["address", () => wrong((v) => topology.validateIpAddrGroupAddr("x", v)), ["addr"]],
    [
      "trace",
      () =>
        wrong((v) =>
          topology.validateTraceRequest(
            { ...records.traces[0], limit: 2n ** 63n, deviceType: "bridge", condition: { vlan: 9999 } } as never,
            v,
          ),
        ),
      ["deviceType", "limit", "condition.vlan"],
    ],
  ];
  for (const [name, run, expected] of cases) test(name, () => assert.deepEqual(run(), expected));
});

describe("normalizing conditions", () => {
  test("the canonical form", () => {
    const id = "B0000000-0000-4000-8000-000000000001";
    const c = {
      condInvert: false,
      invNwProto: true,
      nwProto: 0,
      dlSrc: "2:0:0:0:0:AB",
      dlSrcMask: "FFFF.ffff.ffff",
      nwSrcAddress: "10.0.1.5",
      nwDstLength: 8,
      inPorts: [id, id.toLowerCase(), "a0000000-0000-4000-8000-000000000001"],
      outPorts: [],
      tpDst: { start: null, end: 80 },
      tpSrc: null,
      fragmentPolicy: "header",
      vlan: 0,
    };
    assert.deepEqual(normalizeCondition(c as unknown as Condition), {
      inPorts: ["a0000000-0000-4000-8000-000000000001", id.toLowerCase()],
      dlSrc: "02:00:00:00:00:ab",
      nwSrcAddress: "10.0.1.5",
      nwSrcLength: 32,
      tpDst: { start: 0, end: 80 },
    });
  });

  test("the fragment policy counts as it takes effect", () => {
    assert.equal(sameCondition({ fragmentPolicy: "any" }, {}), true);
    assert.equal(
      sameCondition({ tpDst: { start: 1, end: 1 }, fragmentPolicy: "header" }, { tpDst: { start: 1, end: 1 } }),
      true,
    );
    assert.equal(sameCondition({ nwProto: 6, fragmentPolicy: "unfragmented" }, { nwProto: 6 }), false);
    assert.equal(sameCondition({ fragmentPolicy: "header" }, {}), false);
  });

  test("host bits and masked-out bits do not count", () => {
    assert.equal(
      sameCondition({ nwSrcAddress: "10.0.1.5", nwSrcLength: 24 }, { nwSrcAddress: "10.0.1.0", nwSrcLength: 24 }),
      true,
    );
    assert.equal(sameCondition({ nwSrcAddress: "10.0.1.5" }, { nwSrcAddress: "10.0.1.0" }), false);
    const masked = (dlSrc: string): Condition => ({ dlSrc, dlSrcMask: "ffff.ffff.ff00" });
    assert.equal(sameCondition(masked("02:00:00:00:00:01"), masked("02:00:00:00:00:02")), true);
    assert.equal(sameCondition(masked("ff:00:00:80:00:01"), masked("ff:00:00:00:00:02")), false);
  });

  test("normalizing is idempotent, keeps the meaning, and says yes only to valid conditions", () => {
    fc.assert(
      fc.property(conditionArb, (c) => {
        const n = normalizeCondition(c);
        assert.deepEqual(normalizeCondition(n), n);
        assert.ok(sameCondition(c, n));
        assert.deepEqual(conditionFaults(n), []);
        assert.ok(describeCondition(c).length > 0);
      }),
      { numRuns: 500 },
    );
  });
});
