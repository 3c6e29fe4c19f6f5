import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostId, PortId } from "#core/base";
import { bindingTag, FlowMatch, type FlowTag } from "#core/flows";
import type { VirtualOutput } from "#core/simulation";
import type { PortDevice } from "#core/topology";
import { Bindings } from "../../../src/apps/agent/bindings.ts";
import { type PhysicalView, translate } from "../../../src/apps/agent/translation.ts";

const HERE = "here" as HostId;
const RED = "red" as PortId;
const BLUE = "blue" as PortId;

const vm = (name: string, ofport: number, up = true) => ({ name, ofport, kind: "vm" as const, up });
const tunnel = (ofport: number, up = true) => ({ name: "vx", ofport, kind: "tunnel" as const, up });

function bound(): Bindings {
  const bindings = new Bindings(HERE);
  bindings.replace(
    new Map([
      ["tap-red", RED],
      ["tap-blue", BLUE],
    ]),
  );
  return bindings;
}

/** The tags of a flow that goes to a port of this host and to one of another. */
function tagsOfFlood(bindings: Bindings): readonly FlowTag[] {
  const view: PhysicalView = {
    hostId: HERE,
    ofportOf: (port) => bindings.ofportOf(port.id),
    tunnelIpOf: () => 0xc0000202,
    tunnelOfport: bindings.tunnelOfport,
  };
  const to = (port: Pick<PortDevice, "id" | "hostId" | "tunnelKey">): VirtualOutput => ({
    port: port as PortDevice,
    header: new FlowMatch(),
    rewritten: 0,
    routedBy: null,
  });
  const outputs = [
    to({ id: RED, hostId: HERE, tunnelKey: 1 }),
    to({ id: "far" as PortId, hostId: "there" as HostId, tunnelKey: 2 }),
  ];
  return [...translate(new FlowMatch(), outputs, view, (port) => port.tunnelKey).tags, bindingTag(RED)];
}

const meet = (a: readonly FlowTag[], b: readonly FlowTag[]): boolean => a.some((tag) => b.includes(tag));

describe("bindings of a host", () => {
  it("two interfaces that exchange their numbers are both found under the new ones", () => {
    const bindings = bound();
    bindings.datapathPort("tap-red", vm("tap-red", 1));
    bindings.datapathPort("tap-blue", vm("tap-blue", 2));
    bindings.datapathPort("tap-red", vm("tap-red", 2));
    bindings.datapathPort("tap-blue", vm("tap-blue", 1));
    assert.equal(bindings.portOf(2), RED);
    assert.equal(bindings.portOf(1), BLUE);
    bindings.datapathPort("tap-blue", null);
    assert.equal(bindings.portOf(1), null);
    assert.equal(bindings.portOf(2), RED);
  });

  it("flows to other hosts end when the tunnel port has another number, goes, or comes", () => {
    const bindings = bound();
    const without = tagsOfFlood(bindings);
    assert.ok(meet(without, bindings.datapathPort("vx", tunnel(65_000))), "one that was installed without a tunnel");
    const flow = tagsOfFlood(bindings);
    assert.ok(meet(flow, bindings.datapathPort("vx", tunnel(7))));
    assert.ok(meet(tagsOfFlood(bindings), bindings.datapathPort("vx", tunnel(7, false))));
    assert.ok(meet(tagsOfFlood(bindings), bindings.datapathPort("vx", null)));
  });

  it("flows that left out an interface because it was not there end when it comes", () => {
    const bindings = bound();
    assert.ok(meet(tagsOfFlood(bindings), bindings.datapathPort("tap-red", vm("tap-red", 1, false))));
    assert.ok(meet(tagsOfFlood(bindings), bindings.datapathPort("tap-red", vm("tap-red", 1))));
    assert.ok(!meet(tagsOfFlood(bindings), bindings.datapathPort("tap-blue", vm("tap-blue", 2))));
  });

  it("and when the binding comes after the interface", () => {
    const bindings = new Bindings(HERE);
    bindings.datapathPort("tap-red", vm("tap-red", 1));
    assert.ok(meet(tagsOfFlood(bindings), bindings.replace(new Map([["tap-red", RED]]))));
    assert.deepEqual(bindings.replace(new Map([["tap-red", RED]])), []);
  });
});
