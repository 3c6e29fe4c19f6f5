import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { completeMask, F, type FlowMask, FlowMatch, isInstallable, matchesMasked } from "#core/flows";
import { CLOSED_GATE, PacketContext, Simulation, type TraceGate } from "#core/simulation";
import {
  type ArmedTrace,
  CompiledCondition,
  couldMatch,
  EvaluationContext,
  evaluate,
  type TopologyView,
  type VirtualDevice,
} from "#core/topology";
import * as fc from "fast-check";
import {
  agreeing,
  type FrameFields,
  frameFieldsArb,
  frameOf,
  leading,
  matchOf,
  type Network,
  networkArb,
  START,
  TRACEABLE,
  traceArb,
} from "../support/simulation-arbitraries.ts";
import {
  conditionArb,
  GROUP_A,
  groupView,
  packetArb,
  PORT_A,
  portDevice,
  wellFormed,
} from "../support/topology-arbitraries.ts";
import { asFlowWould, fieldsOf, maskOf } from "../support/simulation-flows.ts";
import { FakeGate } from "../support/simulation-scene.ts";

interface Run {
  readonly ctx: PacketContext;
  readonly view: TopologyView;
}

function run(net: Network, frame: Uint8Array, gate: TraceGate, traces: readonly Trace[] = []): Run {
  const t = net.build();
  traces.forEach((trace, n) => void t.trace(`t${n}`, trace.device, trace.condition));
  const view = t.snapshot();
  const ctx = new PacketContext(view).begin(frame, t.portId(START), false);
  new Simulation(view, net.state(), gate).run(ctx);
  return { ctx, view };
}

interface Trace {
  readonly device: (typeof TRACEABLE)[number];
  readonly condition: Parameters<ReturnType<Network["build"]>["trace"]>[2];
}

/** What becomes of the packet, in a form that compares. */
function effects(ctx: PacketContext): unknown {
  return {
    verdict: ctx.verdict,
    dropReason: ctx.dropReason,
    shortLived: ctx.shortLived,
    wait: ctx.wait === null ? null : ctx.wait.for === "arp" ? { ...ctx.wait, port: ctx.wait.port.id } : ctx.wait,
    outputs: ctx.outputs.map((o) => ({ port: o.port.id, header: fieldsOf(o.header), rewritten: o.rewritten })),
    learns: ctx.learns,
    arpLearns: ctx.arpLearns,
    generated: ctx.generatedPackets,
  };
}

describe("the simulation at random", () => {
  it("gives the same result and the same steps for the same packet, also from a used context", () => {
    fc.assert(
      fc.property(
        networkArb,
        frameFieldsArb,
        frameFieldsArb,
        fc.array(traceArb, { maxLength: 3 }),
        (net, f, g, traces) => {
          const first = run(net, frameOf(f), new FakeGate(), traces).ctx;
          const t = net.build();
          traces.forEach((trace, n) => void t.trace(`t${n}`, trace.device, trace.condition));
          const view = t.snapshot();
          const simulation = new Simulation(view, net.state(), new FakeGate());
          const ctx = new PacketContext(view).begin(frameOf(g), t.portId(START), false);
          simulation.run(ctx);
          simulation.run(ctx.begin(frameOf(f), t.portId(START), false));
          assert.deepEqual(effects(ctx), effects(first));
          assert.deepEqual(ctx.tags, first.tags);
          assert.deepEqual([ctx.seen, ctx.nwSrcBits, ctx.nwDstBits], [first.seen, first.nwSrcBits, first.nwDstBits]);
          assert.deepEqual(ctx.recorder?.steps, first.recorder?.steps);
          return true;
        },
      ),
      { numRuns: 1500 },
    );
  });

  it("does with a traced packet what it does with an untraced one", () => {
    let traced = 0;
    fc.assert(
      fc.property(networkArb, frameFieldsArb, fc.array(traceArb, { maxLength: 4 }), (net, f, traces) => {
        const off = run(net, frameOf(f), CLOSED_GATE).ctx;
        const on = run(net, frameOf(f), new FakeGate(), traces).ctx;
        if (on.trace !== null) traced++;
        assert.deepEqual(effects(on), effects(off));
        for (const tag of off.tags) assert.ok(on.tags.includes(tag), tag);
        assert.equal(off.seen & ~on.seen, 0, "the traced packet's flow is no wider");
      }),
      { numRuns: 3000 },
    );
    assert.ok(traced > 300, `only ${traced} packets were traced`);
  });

  it("treats every packet of a flow as its first", () => {
    const seen = { covered: 0, forwarded: 0, other: 0 };
    fc.assert(
      fc.property(
        networkArb,
        frameFieldsArb,
        fc.array(frameFieldsArb, { minLength: 6, maxLength: 6 }),
        (net, f, others) => {
          const { ctx } = run(net, frameOf(f), CLOSED_GATE);
          const mask = maskOf(ctx);
          if (ctx.wait !== null || ctx.verdict === "consumed" || !isInstallable(mask)) return;
          for (const other of covered(f, others, ctx.original, mask)) {
            const again = run(net, frameOf(other), CLOSED_GATE).ctx;
            seen.covered++;
            if (ctx.outputs.length > 0) seen.forwarded++;
            if (JSON.stringify(other) !== JSON.stringify(f)) seen.other++;
            const result = (c: PacketContext): unknown => [
              c.verdict,
              c.dropReason,
              c.shortLived,
              c.wait,
              c.tags,
              c.learns,
            ];
            assert.deepEqual(result(again), result(ctx));
            assert.deepEqual(
              again.outputs.map((o) => ({ port: o.port.id, header: fieldsOf(o.header) })),
              asFlowWould(ctx, again.original),
            );
          }
        },
      ),
      { numRuns: 3000 },
    );
    assert.ok(seen.other > 3000 && seen.forwarded > 1000, JSON.stringify(seen));
  });

  it("couldMatch is true for a flow of which a packet matches the trace at the device", () => {
    const seen = { matching: 0, excluded: 0 };
    fc.assert(
      fc.property(
        networkArb,
        frameFieldsArb,
        fc.array(frameFieldsArb, { minLength: 8, maxLength: 8 }),
        traceArb,
        (net, f, others, trace) => {
          const { ctx } = run(net, frameOf(f), CLOSED_GATE);
          const mask = maskOf(ctx);
          if (ctx.wait !== null || ctx.verdict === "consumed" || !isInstallable(mask)) return;
          const could = followed(net, ctx.original, mask, trace);
          if (!could) seen.excluded++;
          for (const other of covered(f, others, ctx.original, mask)) {
            const gate = new FakeGate("known");
            run(net, frameOf(other), gate, [trace]);
            if (gate.asked.length === 0) continue;
            seen.matching++;
            assert.ok(could, "a packet of the flow matches");
          }
        },
      ),
      { numRuns: 4000 },
    );
    assert.ok(seen.matching > 500 && seen.excluded > 500, JSON.stringify(seen));
  });

  it("couldMatch is true for any condition, flow and packet of the flow that matches", () => {
    const seen = { matching: 0, excluded: 0 };
    fc.assert(
      fc.property(conditionArb, conditionArb, packetArb, packetArb, (condition, looked, p, q) => {
        const ctx = here(p);
        evaluate(new CompiledCondition(looked), ctx);
        const mask = completeMask(p, ctx.seen, ctx.nwSrcBits, ctx.nwDstBits);
        const wanted = new CompiledCondition(condition);
        const could = couldMatch(wanted, here(p), p, mask);
        if (!could) seen.excluded++;
        const other = new FlowMatch().copyFrom(q);
        for (const [name, field] of Object.entries(COMPARED) as [keyof FlowMatch, number][])
          if ((mask.fields & field) !== 0) Object.assign(other, { [name]: p[name] });
        other.nwSrc = leading(p.nwSrc, q.nwSrc, mask.nwSrcBits);
        other.nwDst = leading(p.nwDst, q.nwDst, mask.nwDstBits);
        const packet = wellFormed(other);
        if (!matchesMasked(p, mask, packet) || !evaluate(wanted, here(packet))) return;
        seen.matching++;
        assert.ok(could);
      }),
      { numRuns: 20_000 },
    );
    assert.ok(seen.matching > 1000 && seen.excluded > 1000, JSON.stringify(seen));
  });

  it("finds by the index the traces that a linear evaluation finds", () => {
    let found = 0;
    fc.assert(
      fc.property(networkArb, frameFieldsArb, fc.array(traceArb, { minLength: 1, maxLength: 10 }), (net, f, traces) => {
        const gate = new FakeGate("known");
        const { view } = run(net, frameOf(f), gate, traces);
        const linear = new Set<string>();
        meet(net, view, matchOf(frameOf(f)), (device, at) => {
          for (const trace of device.traces?.traces ?? [])
            if (evaluate(trace.condition, at)) linear.add(trace.requestId);
        });
        found += linear.size;
        assert.deepEqual(new Set(gate.asked.map((t: ArmedTrace): string => t.requestId)), linear);
        assert.equal(gate.asked.length, linear.size, "each is decided once");
      }),
      { numRuns: 3000 },
    );
    assert.ok(found > 1000, `only ${found} matches`);
  });
});

/** Fields of a match that a mask compares whole. */
const COMPARED: Partial<Record<keyof FlowMatch, number>> = {
  ethSrc: F.EthSrc,
  ethDst: F.EthDst,
  etherType: F.EtherType,
  vlan: F.Vlan,
  nwProto: F.NwProto,
  nwTos: F.NwTos,
  fragment: F.Fragment,
  tpSrc: F.TpSrc,
  tpDst: F.TpDst,
};

const port = portDevice(PORT_A, [GROUP_A]);

function here(m: FlowMatch): EvaluationContext {
  const ctx = new EvaluationContext(groupView, m);
  ctx.inPort = port;
  ctx.firstGroups = port.groups;
  ctx.originalNwDst = m.nwDst;
  return ctx;
}

/** Those of the candidates, made to agree with the flow's fields, that the flow covers. */
function covered(f: FrameFields, candidates: readonly FrameFields[], flow: FlowMatch, mask: FlowMask): FrameFields[] {
  return candidates.map((c) => agreeing(f, c, mask)).filter((c) => matchesMasked(flow, mask, matchOf(frameOf(c))));
}

/** Follows the flow and asks at every device with traces. @returns false when its way cannot be followed. */
function meet(
  net: Network,
  view: TopologyView,
  flow: FlowMatch,
  met: (d: VirtualDevice, at: PacketContext) => void,
): boolean {
  const ctx = new PacketContext(view).beginFlow(flow, net.build().portId(START));
  return new Simulation(view, net.state(), CLOSED_GATE).follow(ctx, met);
}

/** What the agent asks when the trace is enabled (apps/agent/revalidation.ts). */
function followed(net: Network, flow: FlowMatch, mask: FlowMask, trace: Trace): boolean {
  const t = net.build().trace("t", trace.device, trace.condition);
  let could = false;
  let anywhere = false;
  const same = meet(net, t.snapshot(), flow, (device, at) => {
    anywhere = true;
    could ||= device.traces?.traces.some((armed) => couldMatch(armed.condition, at, flow, mask)) ?? false;
  });
  return could || (!same && !anywhere);
}
