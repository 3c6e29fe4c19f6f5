import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { flowPath, headerDiff, type Hop, packetLine, type ShownFlow, wayOf } from "#apps/web/model";
import { assembleFlowTrace, redactFlowTrace } from "#core/tracing";
import { droppedSegment, egressSegment, ingressSegment, RED, START_MS } from "../../support/tracing-example.ts";
import { PING } from "../../support/tracing-samples.ts";

const port = (name: string): object => ({ type: "port", id: `id of ${name}`, name });
const bridge = (name: string): object => ({ type: "bridge", id: `id of ${name}`, name });

/** One host's steps: `kind`, the device and what the kind has more. */
function flowOf(verdict: string, ...steps: readonly object[]): ShownFlow {
  return {
    flowTraceId: "f",
    traceRequestIds: [],
    startedAtMs: 0,
    key: PING,
    verdict,
    dropReason: null,
    why: "",
    completeness: { state: "complete", missing: [] },
    segments: [
      {
        hostId: "h1",
        hostName: "h1",
        role: "ingress",
        cookie: 1,
        startedAtMs: 0,
        verdict,
        dropReason: null,
        duplicate: false,
        joinedBy: "state",
        steps: steps.map((s, i) => ({ seq: i + 1, atMs: 0, text: "", ...s })),
      },
    ],
  } as unknown as ShownFlow;
}

const drawn = (hops: readonly Hop[]): string[] =>
  hops.map((h) => {
    const from = hops.find((p) => p.id === h.parent);
    return `${h.kind} ${h.device?.name ?? ""}${from === undefined ? "" : ` < ${from.device?.name ?? from.kind}`}`;
  });

describe("the path of a flow", () => {
  it("makes one hop of a device and the ports by which it was entered and left", () => {
    const flow = flowOf(
      "delivered",
      { kind: "packet-received", device: port("a/vm"), interface: "tap", header: {} },
      { kind: "waited", device: bridge("b"), waitedFor: "arp", waitedMs: 7 },
      { kind: "port-in", device: port("a/vm"), of: bridge("a"), header: {} },
      { kind: "chain-start", device: port("a/vm"), chainName: "guard" },
      { kind: "chain-end", device: port("a/vm"), chainName: "guard", result: "accept" },
      { kind: "device-in", device: bridge("a"), inPort: port("a/vm") },
      { kind: "bridge-decision", device: bridge("a"), decision: "unicast" },
      { kind: "port-out", device: port("a/b"), of: bridge("a") },
      { kind: "port-in", device: port("b/a"), of: bridge("b"), header: {} },
      { kind: "port-out", device: port("b/out"), of: bridge("b") },
      { kind: "emit", device: port("b/out"), where: "local" },
      { kind: "delivered", device: port("b/out") },
      { kind: "flow", device: port("a/vm") },
      { kind: "verdict", device: port("a/vm") },
    );
    const [group] = flowPath(flow).groups;
    assert.deepEqual(drawn(group?.hops ?? []), [
      "entry a/vm",
      "device a < a/vm",
      "device b < a",
      "exit b/out < b",
      "outcome  < b",
    ]);
    const first = group?.hops[1];
    assert.deepEqual(
      [first?.inPort, first?.outPorts, first?.summary, first?.steps.length],
      ["vm", ["b"], ["guard: accept", "learned MAC"], 6],
    );
    assert.deepEqual(
      group?.hops.at(-1)?.steps.map((s) => s.seq),
      [13, 14],
    );
  });

  it("lets a flood begin each of its branches at the bridge that floods", () => {
    const flow = flowOf(
      "flooded",
      { kind: "port-in", device: port("a/vm"), of: bridge("a"), header: {} },
      { kind: "flood", device: bridge("a"), ports: [] },
      { kind: "port-out", device: port("a/x"), of: bridge("a") },
      { kind: "delivered", device: port("a/x") },
      { kind: "port-out", device: port("a/b"), of: bridge("a") },
      { kind: "port-in", device: port("b/a"), of: bridge("b"), header: {} },
      { kind: "drop", device: bridge("b"), reason: "arp-not-ours" },
      { kind: "port-out", device: port("a/y"), of: bridge("a") },
      { kind: "delivered", device: port("a/y") },
    );
    const path = flowPath(flow);
    assert.deepEqual(drawn(path.groups[0]?.hops ?? []), ["device a", "exit a/x < a", "device b < a", "exit a/y < a"]);
    assert.deepEqual(path.groups[0]?.hops[0]?.outPorts, ["x", "b", "y"]);
    assert.equal(path.failing, null, "a branch that ended is no failure of a flood");
  });

  const joined = (...segments: Parameters<typeof assembleFlowTrace>[0]) => {
    const trace = assembleFlowTrace(segments, { nowMs: START_MS + 60_000, hostDown: () => false });
    assert.ok(trace !== null);
    return trace;
  };
  const ADMIN = { admin: true, tenantId: "" };

  it("joins hosts by their tunnels, from the hop that sent", () => {
    const path = flowPath(redactFlowTrace(joined(ingressSegment(), egressSegment()), ADMIN));
    assert.deepEqual(
      path.tunnels.map((t) => [t.fromSegment, t.toSegment, t.label]),
      [[0, 1, "tunnel key 5"]],
    );
    const sender = path.groups[0]?.hops.find((h) => h.id === path.tunnels[0]?.from);
    assert.ok(sender?.steps.some((s) => s.withheld !== true && s.kind === "tunnel-sent"));
    const router = path.groups[0]?.hops.find((h) => h.device?.type === "router");
    assert.deepEqual(router?.changes, [{ field: "nwTtl", label: "TTL", before: "64", after: "63" }]);
  });

  it("names the failing hop and its step", () => {
    const path = flowPath(redactFlowTrace(joined(droppedSegment()), ADMIN));
    assert.equal(path.failing?.step.kind, "drop");
    assert.ok(path.failing.hop.failed);
    assert.equal(path.groups.flatMap((g) => g.hops).filter((h) => h.failed).length, 1);
  });

  it("keeps a tenant's withheld stretches as hops without a name, and every step in exactly one hop", () => {
    const flow = redactFlowTrace(joined(ingressSegment(), egressSegment()), { admin: false, tenantId: RED });
    const path = flowPath(flow);
    const hops = path.groups.flatMap((g) => g.hops);
    assert.ok(hops.some((h) => h.kind === "withheld" && h.device === null));
    for (const [i, group] of path.groups.entries())
      assert.deepEqual(
        group.hops
          .flatMap((h) => h.steps)
          .map((s) => s.seq)
          .sort((a, b) => a - b),
        flow.segments[i]?.steps.map((s) => s.seq),
      );
    assert.ok(!JSON.stringify(path).includes("provider-router"));
    assert.ok(path.tunnels.every((t) => t.label === null));
  });
});

describe("a counted path in one line", () => {
  const port = (id: string) => ({ type: "port", id, name: id });
  const bridge = (id: string) => ({ type: "bridge", id, name: id });
  const way = (...devices: Parameters<typeof wayOf>[0]): string[] => wayOf(devices).map((d) => d.id ?? "withheld");

  it("is its bridges and routers, and the ports of the two ends", () => {
    const devices = [port("a/in"), bridge("a"), port("a/b"), port("b/a"), bridge("b"), port("b/out")];
    assert.deepEqual(way(...devices), ["a/in", "a", "b", "b/out"]);
  });

  it("leaves out what was waited for, and the port of entry when it comes again at the end", () => {
    const devices = [port("a/in"), bridge("b"), port("a/in"), bridge("a"), port("a/out"), port("a/in")];
    assert.deepEqual(way(...devices), ["a/in", "a", "a/out"]);
    assert.deepEqual(way(port("b/out")), ["b/out"]);
    assert.deepEqual(way(port("a/in"), bridge("a"), { withheld: true }), ["a/in", "a", "withheld"]);
  });
});

describe("texts", () => {
  it("a packet in one line", () => {
    assert.equal(packetLine(null), "entered elsewhere");
    assert.equal(
      packetLine({ ...PING, networkProto: 6, networkSrc: "10.0.0.1", networkDst: "fd00::1", srcPort: 1, dstPort: 2 }),
      "TCP 10.0.0.1:1 → [fd00::1]:2",
    );
    assert.equal(
      packetLine({ ...PING, etherType: 0x0806, networkProto: 1, networkSrc: "a", networkDst: "b" }),
      "ARP a → b request",
    );
    assert.match(packetLine({ ...PING, etherType: 0x88cc, networkSrc: null, networkDst: null }), /^0x88cc /);
  });

  it("what a header lost and got", () => {
    assert.deepEqual(headerDiff({ vlan: 7, nwTtl: 64 }, { nwTtl: 64, tpDst: 80 }), [
      { field: "vlan", label: "VLAN", before: "7", after: null },
      { field: "tpDst", label: "Destination port", before: null, after: "80" },
    ]);
  });
});
