import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type CourierLimits, openExporter } from "#adapters/exporters";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import type { Scheduler } from "#core/base";
import { EXPORT_LOSSES, type Exporter, type ExportLoss, stepRecords } from "#core/exporting";
import { assembleFlowTrace, type FlowTrace, type TraceSegment } from "#core/tracing";
import { eventually } from "../support/nsdb-eventually.ts";
import type { Mood, Receiver } from "../support/exporters/receiver.ts";
import { droppedSegment, egressSegment, H2, ingressSegment, RED, START_MS } from "../support/tracing-example.ts";
import { flowId } from "../support/tracing-samples.ts";

export interface ExporterKind {
  readonly unit: "steps" | "flows";
  make(): Receiver & { remove?(): void };
  /** The id under which the target sees a flow. */
  readonly flowIdOf?: (trace: FlowTrace, revision: number) => string;
}

/** No test waits for a pause: what counts is what happens, not when. */
const QUICK: Partial<CourierLimits> = { paceMs: 1, backoffMs: 1, maxBackoffMs: 5, stopMs: 100_000 };
/** Time goes by faster: whoever waits for a target waits a twentieth of it. */
const hasty: Scheduler = { after: (delayMs, task) => systemScheduler.after(delayMs / 20, task) };
const ADMIN = { admin: true, tenantId: "" };

function moodsOf(kind: ExporterKind): readonly Mood[] {
  const receiver = kind.make();
  receiver.remove?.();
  return receiver.moods;
}

/** What every exporter has to do, whatever it speaks to. */
export function exporterContract(name: string, kind: ExporterKind): void {
  describe(`${name}, ${kind.unit}`, { timeout: 60_000 }, () => {
    let receiver: ReturnType<ExporterKind["make"]>;
    let exporter: Exporter | null = null;
    let log: string[] = [];

    beforeEach(() => {
      receiver = kind.make();
      log = [];
    });
    afterEach(async () => {
      await exporter?.stop();
      exporter = null;
      await receiver.stop();
      receiver.remove?.();
    });

    async function opened(limits: Partial<CourierLimits> = {}, query = ""): Promise<Exporter> {
      const parts = { unit: kind.unit, clock: systemClock, scheduler: hasty, random: systemRandom };
      exporter = await openExporter(receiver.url() + query, {
        ...parts,
        log: (level, message, fields) => void log.push(`${level} ${message} ${JSON.stringify(fields)}`),
        limits: { ...QUICK, ...limits },
      });
      await exporter.start();
      return exporter;
    }

    const segmentOf = (n: number): TraceSegment =>
      ingressSegment({ segmentId: `h1 1 ${n}`, flowTraceId: flowId(n), cookie: n });
    const traceOf = (n: number, dropped = false): FlowTrace => {
      const about = { segmentId: `h1 1 ${n}`, flowTraceId: flowId(n), cookie: n };
      const segments = dropped
        ? [droppedSegment(about)]
        : [ingressSegment(about), egressSegment(H2, "h2", 1, { segmentId: `h2 1 ${n}`, flowTraceId: flowId(n) })];
      const trace = assembleFlowTrace(segments, { nowMs: START_MS });
      assert.ok(trace !== null);
      return trace;
    };

    /** Offers some work; @returns the ids that the target is to see. */
    function offer(to: Exporter, from: number, count: number): string[] {
      return Array.from({ length: count }, (_, i) => from + i).flatMap((n) => {
        if (kind.unit === "steps") {
          to.segment(segmentOf(n));
          return stepRecords(segmentOf(n), ADMIN).map((r) => r.id);
        }
        to.flow(traceOf(n));
        return [kind.flowIdOf?.(traceOf(n), 1) ?? flowId(n)];
      });
    }

    /** Of flows, what stands behind the id says which telling it is. */
    const came = (): string[] =>
      kind.unit === "flows" && kind.flowIdOf === undefined
        ? receiver.got.ids.map((id) => id.slice(0, 36))
        : receiver.got.ids;
    const lostOf = (e: Exporter): number => Object.values(e.counters().lost).reduce((sum, n) => sum + n, 0);

    /** Nothing is lost silently: whatever was offered arrived, was counted as lost, or waits. */
    function balanced(e: Exporter): void {
      const { offered, delivered, waiting } = e.counters();
      assert.equal(delivered + lostOf(e) + waiting, offered, JSON.stringify(e.counters()));
    }

    const settled = (e: Exporter): Promise<void> =>
      eventually(() => {
        assert.equal(e.counters().waiting, 0, JSON.stringify([e.counters(), log]));
        balanced(e);
      }, 20_000);

    async function allArrive(e: Exporter, ids: readonly string[]): Promise<void> {
      await settled(e);
      assert.deepEqual(new Set(came()), new Set(ids));
      assert.deepEqual(receiver.got.faults, []);
      assert.deepEqual(e.counters().lost, {});
      assert.equal(e.counters().delivered, ids.length);
    }

    /** The losses that the target was told of. */
    const told = (cause: ExportLoss): number =>
      receiver.got.losses.filter((l) => l.cause === EXPORT_LOSSES[cause]).reduce((sum, l) => sum + l.count, 0);

    it("brings everything, as the target's grammar has it", async () => {
      await receiver.start();
      const e = await opened();
      await allArrive(e, [...offer(e, 1, 20), ...offer(e, 21, 20)]);
      assert.equal(e.counters().failing, false);
      assert.equal(e.counters().lagMs, 0);
    });

    it("waits for a target that comes later", async () => {
      await receiver.start();
      await receiver.stop();
      const e = await opened();
      const ids = offer(e, 1, 5);
      await eventually(() => assert.ok(e.counters().retries > 0));
      assert.equal(e.counters().failing, true);
      assert.equal(log.length, 1, "it is said once");
      balanced(e);
      await receiver.start();
      await allArrive(e, ids);
      assert.match(log[1] ?? "", /^info .*again/);
    });

    it("drops what does not fit, counts it, and tells the target when it is back", async () => {
      await receiver.start();
      await receiver.stop();
      const e = await opened({ queueSteps: 200, batchSteps: 50 });
      offer(e, 1, 100);
      await eventually(() => assert.ok(e.counters().retries > 0));
      const lost = lostOf(e);
      assert.ok(lost > 0);
      assert.deepEqual(Object.keys(e.counters().lost), ["queue-full"]);
      balanced(e);
      await receiver.start();
      await settled(e);
      await eventually(() => assert.equal(told("queue-full"), lost));
      assert.equal(new Set(came()).size, e.counters().delivered);
      assert.equal(log.filter((l) => l.includes("queue-full")).length >= 1, true);
      assert.deepEqual(receiver.got.faults, []);
    });

    it("ends when it is told to, and counts what was not taken", async () => {
      await receiver.start();
      await receiver.stop();
      const e = await opened({ stopMs: 1 });
      offer(e, 1, 5);
      await e.stop();
      const { offered, lost, waiting } = e.counters();
      assert.deepEqual([lost.stopped, waiting], [offered, 0]);
      offer(e, 9, 1);
      assert.equal(e.counters().offered, offered, "nothing is taken after the end");
    });

    it("sends what waits before it ends", async () => {
      await receiver.start();
      const e = await opened({ paceMs: 60_000 });
      const ids = offer(e, 1, 3);
      await e.stop();
      await allArrive(e, ids);
    });

    it("tells of what was lost before it came here", async () => {
      await receiver.start();
      const e = await opened();
      e.lost(H2, 7, "the agent's queue was full");
      e.gone();
      await settled(e);
      await eventually(() => assert.equal(told("no-longer-stored"), 1));
      assert.ok(receiver.got.losses.some((l) => l.count === 7 && l.cause === "the agent's queue was full"));
    });

    it("shows a tenant nothing of others", async () => {
      await receiver.start();
      const e = await opened({}, `?tenant=${RED}`);
      const foreign = { ...traceOf(1), segments: traceOf(1).segments.filter((s) => s.role === "egress") };
      if (kind.unit === "steps") e.segment(egressSegment(H2, "h2", 9, { segmentId: "h2 1 9" }));
      else e.flow(foreign);
      e.lost(H2, 7, "secret");
      assert.equal(e.counters().offered, 0, "there is nothing in it for the tenant");
      offer(e, 1, 3);
      await settled(e);
      assert.ok(e.counters().delivered > 0);
      const text = receiver.got.texts.join("\n");
      assert.match(text, /red-net/);
      for (const secret of ["provider", "blue", "secret", "tap-", "172.16", '"h1"', '"h2"', '"cookie":1'])
        assert.ok(!text.toLowerCase().includes(secret), secret);
      assert.match(e.name, /tenant=tenant-red/);
    });

    it("says nothing of secrets", async () => {
      await receiver.start();
      await receiver.stop();
      const e = await opened({ stopMs: 1 });
      offer(e, 1, 1);
      await eventually(() => assert.ok(e.counters().retries > 0));
      const secrets = /^\w+:\/\/([^@/]+)@/.exec(receiver.url())?.[1]?.split(":") ?? [];
      for (const secret of secrets) assert.ok(!`${e.name} ${log.join()}`.includes(secret), secret);
    });

    if (kind.unit === "flows") {
      it("tells a flow again when it has changed, with a revision, and not otherwise", async () => {
        await receiver.start();
        const e = await opened();
        e.flow(traceOf(1));
        e.flow(traceOf(1));
        e.flow(traceOf(1, true));
        await settled(e);
        assert.equal(e.counters().offered, 2);
        const text = receiver.got.texts.join("\n");
        for (const revision of [1, 2]) assert.match(text, new RegExp(`revision"?:"?${revision}\\b`));
      });
    }

    const moods = moodsOf(kind);
    for (const mood of moods.filter((m) => m === "busy" || m === "slow" || m === "silent")) {
      it(`brings everything to a target that is ${mood} for a while`, async () => {
        await receiver.start();
        receiver.mood = mood;
        const e = await opened(mood === "silent" ? { answerMs: 20_000 } : {});
        const ids = offer(e, 1, 10);
        if (mood !== "slow") {
          await eventually(() => assert.ok(e.counters().retries > 0));
          receiver.mood = "well";
          await receiver.stop();
          await receiver.start();
        }
        await allArrive(e, ids);
      });
    }

    if (moods.includes("half")) {
      it("counts what a half-hearted target refuses, and brings the rest", async () => {
        await receiver.start();
        receiver.mood = "half";
        const e = await opened();
        offer(e, 1, kind.unit === "steps" ? 2 : 20);
        await settled(e);
        const { delivered, lost, offered } = e.counters();
        assert.ok(delivered > 0 && (lost.refused ?? 0) > 0, JSON.stringify(e.counters()));
        assert.equal(new Set(came()).size, delivered);
        assert.equal(delivered + lostOf(e), offered);
        receiver.mood = "well";
        await eventually(() => assert.equal(told("refused"), lost.refused));
        assert.deepEqual(receiver.got.faults, []);
      });
    }

    if (moods.includes("refusing")) {
      it("counts what a target refuses for ever, and tells it when it takes something", async () => {
        await receiver.start();
        receiver.mood = "refusing";
        const e = await opened();
        const ids = offer(e, 1, 2);
        await settled(e);
        assert.deepEqual(e.counters().lost, { refused: ids.length });
        receiver.mood = "well";
        const more = offer(e, 3, 2);
        await eventually(() => assert.ok(came().length >= more.length));
        assert.deepEqual(new Set(came()), new Set(more));
      });
    }
  });
}
