import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  applicationDto,
  bridgeAnswer,
  bridgeToDto,
  conditionBody,
  conditionFields,
  conditionFromBody,
  conditionToFields,
  chainToDto,
  enabledFromPut,
  hostAnswer,
  hostToDto,
  Links,
  portAnswer,
  portBody,
  portFromBody,
  portToDto,
  routerAnswer,
  routerToDto,
  ruleAnswer,
  ruleToDto,
  traceAnswer,
  traceBody,
  traceFromBody,
  traceToDto,
} from "#core/api-contract";
import { Violations } from "#core/base";
import { type Condition, CONDITION_KEYS, LIMIT_MAX, normalizeCondition } from "#core/topology";
import { TopologyBuilder } from "../../support/topology-builder.ts";

const links = new Links("http://h:1/midonet-api");
const FRESH = { id: "0a000000-0000-4000-8000-000000000001", nowMs: 7 };
const DEVICE = "0b000000-0000-4000-8000-000000000001";
const CONDITIONS: readonly Condition[] = [
  {},
  { condInvert: true, nwProto: 6, tpDst: { start: 80, end: 90 }, invTpDst: true },
  { nwSrcAddress: "10.0.1.10", nwDstAddress: "10.0.2.0", nwDstLength: 24, invNwDst: true },
  { dlSrc: "02:00:00:00:00:01", dlSrcMask: "ffff.ff00.0000", dlType: 0x0800, noVlan: true },
  { inPorts: [DEVICE], fragmentPolicy: "unfragmented", matchNwDstRewritten: true, vlan: 5, nwTos: 4 },
  { icmpDataSrcIpAddress: "10.0.0.1", icmpDataSrcIpLength: 8, ipAddrGroupSrc: DEVICE, invIpAddrGroupSrc: true },
];

describe("conditions", () => {
  it("have every field of the model, in both directions", () => {
    assert.deepEqual(Object.keys(conditionFields).sort(), [...CONDITION_KEYS].sort());
  });

  it("come back as they went out", () => {
    for (const condition of CONDITIONS) {
      const violations = new Violations();
      const shown = conditionToFields(condition);
      const again = conditionFromBody(conditionBody.parse(shown), "condition", violations);
      assert.deepEqual(violations.list, []);
      assert.deepEqual(again, normalizeCondition(condition));
    }
  });
});

describe("answers", () => {
  it("have exactly the fields of the contract", () => {
    const t = new TopologyBuilder()
      .bridge("b1", { tenant: "red" })
      .port("b1/p1", { host: "h1", ifName: "tap1" })
      .router("r1")
      .routerPort("r1/p1", "10.0.0.1/24")
      .chain("c1", [{ type: "accept" }, { type: "jump", to: "c2" }])
      .chain("c2", [])
      .records();
    for (const b of t.bridges) bridgeAnswer.strict().parse(bridgeToDto(b, links));
    for (const r of t.routers) routerAnswer.strict().parse(routerToDto(r, links));
    for (const p of t.ports) portAnswer.parse(portToDto(p, true, links));
    for (const r of t.rules) ruleAnswer.strict().parse(ruleToDto(r, 1, null, links));
    for (const h of t.hosts) hostAnswer.strict().parse(hostToDto(h, { alive: true, interfaces: [] }, links));
    assert.deepEqual(Object.keys(chainToDto(t.chains[0] ?? assert.fail(), links)), [
      "id",
      "tenantId",
      "name",
      "uri",
      "rules",
    ]);
    const trace = traceFromBody(traceBody.parse({ name: "n", deviceType: "BRIDGE", deviceId: DEVICE }), FRESH).record;
    traceAnswer.strict().parse(traceToDto(trace, links));
  });

  it("encode what is not plain in URIs, and keep the braces of templates", () => {
    assert.equal(links.to("hosts", "h", "interfaces", "eth0/1"), "http://h:1/midonet-api/hosts/h/interfaces/eth0%2F1");
    assert.equal(applicationDto(links)["bridgeTemplate"], "http://h:1/midonet-api/bridges/{id}");
  });
});

describe("trace requests", () => {
  it("default to a new id, now, the largest limit, everything, disabled", () => {
    const { record, enabled } = traceFromBody(
      traceBody.parse({ name: "n", deviceType: "PORT", deviceId: DEVICE }),
      FRESH,
    );
    assert.deepEqual(
      [record.id, record.creationTimestampMs, record.limit, record.condition, enabled],
      [FRESH.id, 7, LIMIT_MAX, {}, false],
    );
  });

  it("compare a PUT by meaning and name every field that differs", () => {
    for (const condition of CONDITIONS) {
      const { record } = traceFromBody(
        traceBody.parse({ name: "n", deviceType: "PORT", deviceId: DEVICE, condition }),
        FRESH,
      );
      const echo = { ...traceToDto(record, links), enabled: true };
      assert.equal(enabledFromPut(traceBody.parse(echo), record), true);
      assert.equal(enabledFromPut(traceBody.parse({}), record), undefined);
      assert.throws(
        () => enabledFromPut(traceBody.parse({ ...echo, name: "m", limit: 3 }), record),
        (e: { code: string; violations: { property: string }[] }) =>
          e.code === "CONFLICT" && e.violations.map((v) => v.property).join() === "name,limit",
      );
    }
  });
});

describe("ports", () => {
  const target = { id: DEVICE, deviceId: DEVICE, type: "Router", stored: null } as const;
  it("take the first IPv4 subnet, host bits kept", () => {
    const draft = portFromBody(
      portBody.parse({ type: "Router", portSubnet: ["2001:db8::1/64", "10.0.0.9/24"] }),
      target,
    );
    assert.deepEqual(draft.type === "Router" && [draft.portAddress, draft.networkLength], ["10.0.0.9", 24]);
  });

  it("may have no address", () => {
    const draft = portFromBody(portBody.parse({ type: "InteriorRouter", portSubnet: [] }), target);
    assert.deepEqual(draft.type === "Router" && [draft.portAddress, draft.networkLength], [null, 0]);
  });
});
