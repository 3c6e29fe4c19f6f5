import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Impairment } from "#adapters/datapath-fabric";
import { SeededRandom } from "#core/base";
import { isTracedKey, withoutTraceBit } from "#core/flows";
import { assembleFlowTrace, joinOrphan, MISSING_REASONS, type TraceSegment, traceKeyText } from "#core/tracing";
import { Cluster, type ClusterPlan, ip, vmPlan } from "../support/cluster.ts";
import { egressOf, ingressOf, onCluster, stepsOf, udpFrom, wireOf } from "../support/cluster-kit.ts";

const BAD: Impairment = {
  seed: 20_261_123,
  lossRate: 0.05,
  duplicateRate: 0.05,
  reorderRate: 0.1,
  minDelayMs: 0,
  maxDelayMs: 100,
};
const HOSTS = ["h1", "h2", "h3"];
const TENANTS = ["red", "blue"];
/** Dynamic: nobody answers, so that only the conversations of the test are traced. */
const PORT = 50_000;

/** Two tenants, each with a VM on each of three hosts; addresses and MACs are the same for both. */
const overlappingPlan = (): ClusterPlan => ({
  hosts: { h1: "192.0.2.1", h2: "192.0.2.2", h3: "192.0.2.3" },
  topology: {
    bridges: TENANTS.map((tenant) => ({
      name: `net-${tenant}`,
      tenant,
      ports: HOSTS.map((host) => ({ name: `${tenant}-${host}`, bind: { host, interface: `tap-${tenant}-${host}` } })),
    })),
  },
  vms: TENANTS.flatMap((tenant) =>
    HOSTS.map((host, i) => vmPlan(`${tenant}-${host}`, host, `02:00:00:00:00:0${i + 1}`, `10.1.0.${i + 1}`, null)),
  ),
});

const target = (host: number): { mac: number; ip: string } => ({ mac: 0x020000000000 + host, ip: `10.1.0.${host}` });

/** Everybody has spoken to everybody, and each bridge traces all UDP. */
async function prepare(c: Cluster): Promise<void> {
  for (const tenant of TENANTS) {
    for (const from of HOSTS) {
      for (const to of [1, 2, 3].filter((n) => `h${n}` !== from))
        await c.during(c.vm(`${tenant}-${from}`).ping(ip(`10.1.0.${to}`)));
    }
    const bridge = await c.deviceNamed("bridges", `net-${tenant}`);
    await c.trace("BRIDGE", bridge, { dlType: 0x0800, nwProto: 17 });
  }
  assert.equal(c.segments.length, 0);
  c.wire.length = 0;
}

/** Short conversations between VMs on different hosts; where `twins`, both tenants send the same bytes at one moment. */
async function talk(c: Cluster, count: number, twins: boolean): Promise<void> {
  const random = new SeededRandom(7);
  for (let i = 0; i < count; i++) {
    const from = 1 + Math.floor(random.next() * 3);
    const to = 1 + ((from + Math.floor(random.next() * 2)) % 3);
    const sport = 1024 + (i % 40_000);
    const payload = Uint8Array.of(i >>> 8, i);
    const tenants = twins ? TENANTS : [TENANTS[i % 2] as string];
    for (const tenant of tenants) {
      const vm = `${tenant}-h${from}`;
      c.inject(vm, udpFrom(c, vm, target(to), { sport, dport: PORT, payload }));
    }
    await c.time.advance(3);
  }
  await c.settle(12_000);
}

const ownerOf = (s: TraceSegment): string => {
  const owners = [...new Set(s.steps.map((x) => x.owner))];
  assert.equal(owners.length, 1, `one tenant in a segment, not ${owners.join(", ")}`);
  return owners[0] as string;
};

/** What must hold of any set of segments, whatever the underlay did. */
function assertHonest(c: Cluster): { complete: number; incomplete: number; orphans: number } {
  const ingress = new Map(ingressOf(c).map((s) => [s.flowTraceId, s]));
  assert.equal(ingress.size, ingressOf(c).length, "each ingress has an id of its own");
  assert.ok(!ingress.has(null));
  for (const s of egressOf(c)) {
    if (s.flowTraceId === null) {
      assert.deepEqual(s.requestIds, []);
      assert.equal(stepsOf(s, "tunnel-received")[0]?.state, "never");
      continue;
    }
    const origin = ingress.get(s.flowTraceId);
    assert.ok(origin !== undefined, "no id that no ingress made");
    assert.ok(s.arrival !== null);
    const { tunnelKey, token } = s.arrival;
    const copies = origin.expects.filter(
      (e) => e.hostId === s.hostId && e.tunnelKey === tunnelKey && e.token === token,
    );
    assert.equal(copies.length, 1, "it is a copy that this ingress sent to this host");
    assert.equal(traceKeyText(s.key), traceKeyText(origin.key), "on bridges the packet is the same at both ends");
    assert.deepEqual(s.requestIds, origin.requestIds);
    assert.equal(ownerOf(s), ownerOf(origin), "a tenant's packet never ends in another tenant's trace");
  }
  const counted = c.segments.filter((s) => s.flowTraceId === null);
  const byHost = (host: string): number => counted.filter((s) => s.hostName === host).length;
  for (const host of HOSTS)
    assert.equal(c.agent(host).counters().orphans, byHost(host), `orphans of ${host} are counted`);
  return { ...completeness(c, counted), orphans: counted.length };
}

/** Each flow trace is complete, or says what is missing and why. */
function completeness(c: Cluster, orphans: readonly TraceSegment[]): { complete: number; incomplete: number } {
  const byId = new Map<string, TraceSegment[]>();
  for (const s of c.segments) {
    if (s.flowTraceId !== null) byId.set(s.flowTraceId, [...(byId.get(s.flowTraceId) ?? []), s]);
  }
  let complete = 0;
  for (const segments of byId.values()) {
    const trace = assembleFlowTrace(segments, { nowMs: c.time.nowMs(), orphans });
    assert.ok(trace !== null);
    const expected = segments.flatMap((s) => s.expects.map((e) => `${e.hostId} ${e.tunnelKey} ${e.token}`));
    const reported = new Set(
      segments.flatMap((s) => (s.arrival === null ? [] : [`${s.hostId} ${s.arrival.tunnelKey} ${s.arrival.token}`])),
    );
    const silent = expected.filter((name) => !reported.has(name));
    if (trace.completeness.state === "complete") {
      complete++;
      assert.deepEqual(silent, [], "complete means that every host reported");
      assert.equal(trace.verdict, "delivered");
      continue;
    }
    assert.equal(trace.completeness.state, "partial");
    assert.deepEqual(
      trace.completeness.missing.map((m) => m.hostId),
      silent.map((name) => name.split(" ")[0]),
    );
    for (const m of trace.completeness.missing) {
      assert.ok(Object.hasOwn(MISSING_REASONS, m.reason));
      assert.ok(m.reason === "state-lost" || m.reason === "segment-missing", m.reason);
    }
    assert.equal(trace.verdict, "unknown");
  }
  return { complete, incomplete: byId.size - complete };
}

describe("an underlay that reorders, delays up to 100 ms, duplicates and loses 5 %", () => {
  it("10,000 traced packets: each flow trace is complete or says what is missing, and none has a part of another", () =>
    onCluster(overlappingPlan(), async (c) => {
      await prepare(c);
      c.fabric.impair(BAD);
      await talk(c, 10_000, false);
      assert.equal(ingressOf(c).length, 10_000);
      const { complete, incomplete, orphans } = assertHonest(c);
      assert.equal(complete + incomplete, 10_000);
      const wire = wireOf(c);
      const lostStates = wire.filter((e) => e.kind === "state" && e.fate === "lost");
      const lostPackets = wire.filter((e) => e.kind === "traced" && e.fate === "lost");
      // Of each packet the wire says what became of it: nothing is lost in the agents.
      const tokenOf = (e: { token: string; vni: number }): string => `${withoutTraceBit(e.vni)} ${e.token}`;
      const lost = new Set([
        ...lostPackets.map(tokenOf),
        ...lostStates.flatMap((e) => e.state?.tunnelKeys.map((key) => `${key} ${e.state?.token}`) ?? []),
      ]);
      assert.equal(incomplete, lost.size, "incomplete are exactly those whose packet or state the underlay lost");
      assert.ok(orphans > 300, `${orphans} orphans`);
      const withoutState = new Set(
        lostStates.flatMap((e) => e.state?.tunnelKeys.map((key) => `${key} ${e.state?.token}`) ?? []),
      );
      for (const s of egressOf(c).filter((x) => x.flowTraceId === null))
        assert.ok(
          withoutState.has(`${s.arrival?.tunnelKey} ${s.arrival?.token}`),
          "an orphan is a packet whose state was lost",
        );
      assert.ok(complete > 8_500 && incomplete > 500, `${complete} complete, ${incomplete} incomplete`);
      const { underlay } = c.fabric.counters();
      assert.ok(underlay.reordered > 500 && underlay.duplicated > 500 && underlay.lostByImpairment > 500);
    }));

  it("packets before their state are joined, duplicates are marked, and neither is counted as an orphan", () =>
    onCluster(overlappingPlan(), async (c) => {
      await prepare(c);
      c.fabric.impair({ seed: 3, reorderRate: 0.3, duplicateRate: 0.3, maxDelayMs: 20 });
      await talk(c, 500, false);
      const { complete, incomplete, orphans } = assertHonest(c);
      assert.deepEqual({ complete, incomplete, orphans }, { complete: 500, incomplete: 0, orphans: 0 });
      const late = egressOf(c).filter((s) => stepsOf(s, "tunnel-received")[0]?.state === "after-packet");
      assert.ok(late.length > 20, `${late.length} states came after their packet`);
      const duplicates = egressOf(c).filter((s) => s.arrival?.duplicate === true).length;
      assert.equal(
        duplicates,
        HOSTS.reduce((sum, h) => sum + c.agent(h).counters().duplicates, 0),
      );
      assert.equal(egressOf(c).length, 500 + duplicates, "each copy of the underlay is told once");
    }));

  it("two tenants that send the same bytes with the same addresses at one moment are never confused", () =>
    onCluster(overlappingPlan(), async (c) => {
      await prepare(c);
      c.fabric.impair(BAD);
      await talk(c, 1_500, true);
      assert.equal(ingressOf(c).length, 3_000);
      const { complete, incomplete } = assertHonest(c);
      assert.equal(complete + incomplete, 3_000);
      assert.ok(complete > 2_500);
      const twins = new Map<string, Set<string>>();
      for (const s of ingressOf(c)) {
        for (const e of s.expects) twins.set(e.token, (twins.get(e.token) ?? new Set()).add(ownerOf(s)));
      }
      assert.ok(
        [...twins.values()].every((owners) => owners.size === 2),
        "the tokens are the same for both tenants",
      );
    }));

  it("an orphan is joined later by its token where only one packet fits, and only there", () =>
    onCluster(overlappingPlan(), async (c) => {
      await prepare(c);
      c.fabric.impair({ ...BAD, duplicateRate: 0, seed: 11 });
      await talk(c, 1_000, true);
      const { orphans } = assertHonest(c);
      assert.ok(orphans > 20, `${orphans} orphans`);
      const byId = Map.groupBy(
        c.segments.filter((s) => s.flowTraceId !== null),
        (s) => s.flowTraceId,
      );
      const candidates = [...byId.values()];
      const tunnelIps = new Map([
        ["192.0.2.1", 1],
        ["192.0.2.2", 2],
        ["192.0.2.3", 3],
      ]);
      const hostOf = (address: string): string => `00000000-0000-4000-8000-00000000000${tunnelIps.get(address)}`;
      let joined = 0;
      for (const orphan of c.segments.filter((s) => s.flowTraceId === null)) {
        const id = joinOrphan(orphan, candidates, hostOf);
        if (id === null) continue;
        joined++;
        const origin = ingressOf(c).find((s) => s.flowTraceId === id);
        assert.ok(origin !== undefined);
        assert.equal(ownerOf(origin), ownerOf(orphan), "not the twin of the other tenant");
        assert.equal(traceKeyText(origin.key), traceKeyText(orphan.key));
      }
      assert.equal(joined, orphans, "every orphan here fits exactly one packet");
    }));
});

describe("state messages that are not what they should be", () => {
  it("a traced packet whose state never comes is delivered, and reported without an id after 5 s", () =>
    onCluster(overlappingPlan(), async (c) => {
      await prepare(c);
      // The state is the first datagram, the packet the second: only the first is lost.
      c.fabric.impairLink("h1", "h2", { seed: 1, lossRate: 1 });
      const count = c.got("red-h2").length;
      const frame = udpFrom(c, "red-h1", target(2), { sport: 99, dport: PORT });
      const sent: Uint8Array[] = [];
      const untap = c.fabric.tap((d) => void sent.push(d.bytes));
      c.inject("red-h1", frame);
      await c.settle(50);
      untap();
      assert.equal(sent.length, 2);
      c.fabric.impairLink("h1", "h2", null);
      c.fabric.inject("h2", sent[1] as Uint8Array);
      await c.settle(1_000);
      assert.equal(c.got("red-h2").length, count + 1, "the packet does not wait for its state");
      assert.equal(egressOf(c).length, 0, "its report does");
      await c.settle(5_000);
      assert.deepEqual(
        egressOf(c).map((s) => s.flowTraceId),
        [null],
      );
      assert.equal(c.agent("h2").counters().orphans, 1);
      const [origin] = ingressOf(c);
      assert.ok(origin !== undefined);
      const trace = assembleFlowTrace([origin], { nowMs: c.time.nowMs(), orphans: egressOf(c) });
      assert.deepEqual(
        trace?.completeness.missing.map((m) => [m.hostName, m.reason]),
        [["h2", "state-lost"]],
      );
    }));

  it("a foreign sender that sets bit 23 gets an orphan and no flow, and one that uses the reserved key is counted and ignored", () =>
    onCluster(overlappingPlan(), async (c) => {
      await prepare(c);
      c.inject("red-h1", udpFrom(c, "red-h1", target(2), { sport: 99, dport: PORT }));
      await c.settle(50);
      const traced = c.wire.find((_, i) => isTracedKey(wireOf(c)[i]?.vni ?? 0));
      const state = c.wire.find((_, i) => wireOf(c)[i]?.kind === "state");
      assert.ok(traced && state);
      const before = c.agent("h2").counters();
      const foreign = traced.bytes.slice();
      foreign[foreign.length - 1] = 0xff; // other bytes than any state names
      c.fabric.inject("h2", foreign);
      const garbled = state.bytes.slice();
      garbled[garbled.length - 1] = ~(garbled.at(-1) ?? 0) & 0xff;
      c.fabric.inject("h2", garbled);
      await c.settle(6_000);
      const after = c.agent("h2").counters();
      assert.equal(after.orphans, before.orphans + 1);
      assert.equal(after.stateMalformed, before.stateMalformed + 1);
      assert.equal(after.flowsInstalled, before.flowsInstalled);
      assert.equal(c.flowTraces().length, 1);
    }));

  it("a state message that comes twice changes nothing", () =>
    onCluster(overlappingPlan(), async (c) => {
      await prepare(c);
      c.inject("red-h1", udpFrom(c, "red-h1", target(2), { sport: 99, dport: PORT }));
      await c.settle(50);
      const state = c.wire.find((_, i) => wireOf(c)[i]?.kind === "state");
      assert.ok(state);
      for (let i = 0; i < 3; i++) c.fabric.inject("h2", state.bytes);
      await c.settle(6_000);
      assert.deepEqual(
        egressOf(c).map((s) => [s.hostName, s.arrival?.duplicate]),
        [["h2", false]],
      );
      assert.equal(c.flowTraces()[0]?.completeness.state, "complete");
    }));
});
