import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { FileTraceJournal } from "#adapters/trace-journal-file";
import type { PortId, RuleId, TraceRequestId } from "#core/base";
import { SeededRandom } from "#core/base";
import { ETHERTYPE, FlowMatch } from "#core/flows";
import type { GateDecision, PacketContext } from "#core/simulation";
import type { ArmedTrace } from "#core/topology";
import type { TraceJournal } from "#core/tracing";
import { AgentTraceGate, FLOW_MEMORY_MS, SEEN_EVERY_MS } from "../../src/apps/agent/trace-gate.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const rule = (n: number): RuleId => `00000000-0000-4000-8000-00000000000${n}` as RuleId;
const small = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });

function withDirectory<T>(body: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "midotrace-journal-"));
  const done = (): void => rmSync(directory, { recursive: true, force: true });
  const result = body(directory);
  if (result instanceof Promise) return result.finally(done) as T;
  done();
  return result;
}

const journalIn = (directory: string): FileTraceJournal =>
  // So small that it is written anew every few records.
  new FileTraceJournal({ directory, log: () => undefined, compactBytes: 600 });

interface ModelFlow {
  rule: number;
  key: string;
  lastSeenMs: number;
  held: boolean;
}

type Op =
  | { readonly op: "counted" | "held" | "seen" | "ended"; readonly rule: number; readonly flow: number }
  | { readonly op: "forgotten"; readonly rule: number }
  | { readonly op: "tend" }
  | { readonly op: "close" }
  | { readonly op: "kill" }
  | { readonly op: "killed in the middle of a write"; readonly torn: string };

const ops: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ op: fc.constantFrom("counted", "held", "seen", "ended"), rule: small(2), flow: small(5) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("forgotten"), rule: small(2) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom("tend", "close", "kill") }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("killed in the middle of a write"),
      torn: fc.string({ minLength: 1, maxLength: 30 }).map((s) => s.replaceAll("\n", "")),
    }),
  },
);

describe("the journal, against what it should remember", () => {
  it("says after any end of a process what had been noted until then", () => {
    fc.assert(
      fc.property(fc.array(ops, { maxLength: 80 }), (script) =>
        withDirectory((directory) => {
          const counts = new Map<RuleId, number>();
          const flows = new Map<string, ModelFlow>();
          let journal = journalIn(directory);
          journal.open();
          const reopen = (): void => {
            journal = journalIn(directory);
            const contents = journal.open();
            assert.deepEqual(contents.counts, counts);
            assert.deepEqual(
              contents.flows.map((f) => ({ ...f })),
              [...flows.values()].map((f) => ({ ...f, rule: rule(f.rule) })),
            );
          };
          let now = 1_000;
          for (const step of script) {
            now++;
            if (step.op === "tend") journal.tend();
            else if (step.op === "close") {
              journal.close();
              reopen();
            } else if (step.op === "kill") reopen();
            else if (step.op === "killed in the middle of a write") {
              appendFileSync(join(directory, "trace-journal"), step.torn);
              reopen();
            } else if (step.op === "forgotten") {
              counts.delete(rule(step.rule));
              for (const [name, f] of flows) if (f.rule === step.rule) flows.delete(name);
              journal.forgotten(rule(step.rule));
            } else {
              const key = `flow ${step.flow} "quoted" \\ ünï`;
              const name = `${step.rule} ${key}`;
              const known = flows.get(name);
              switch (step.op) {
                case "counted": {
                  const count = (counts.get(rule(step.rule)) ?? 0) + 1;
                  counts.set(rule(step.rule), count);
                  flows.delete(name);
                  flows.set(name, { rule: step.rule, key, lastSeenMs: now, held: false });
                  journal.counted(rule(step.rule), count, key, now);
                  break;
                }
                case "held":
                  if (known !== undefined) known.held = true;
                  journal.held(rule(step.rule), key);
                  break;
                case "seen":
                  if (known !== undefined) Object.assign(known, { held: false, lastSeenMs: now });
                  journal.seen(rule(step.rule), key, now);
                  break;
                case "ended":
                  flows.delete(name);
                  journal.ended(rule(step.rule), key);
                  break;
              }
            }
            assert.equal(journal.unwritten, 0);
          }
          reopen();
          journal.close();
        }),
      ),
      { numRuns: 150 },
    );
  });
});

type Event =
  | { readonly kind: "packet"; readonly rule: number; readonly flow: number }
  | { readonly kind: "entry" | "idle" | "removed"; readonly rule: number; readonly flow: number }
  | { readonly kind: "time"; readonly ms: number }
  | { readonly kind: "restart"; readonly downMs: number };

const RULES = 2;
const FLOWS = 6;
const events: fc.Arbitrary<Event> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant("packet"), rule: small(RULES - 1), flow: small(FLOWS - 1) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom("entry", "idle", "removed"),
      rule: small(RULES - 1),
      flow: small(FLOWS - 1),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("time"), ms: fc.constantFrom(100, 5_000, 20_000, 59_000, 80_000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("restart"), downMs: fc.constantFrom(0, 1_000, 65_000, 3_600_000) }),
  },
);

/** A flow as the design has it: alive while an entry serves it, else until so long after its last packet. */
interface Truth {
  served: number | null;
  lastMs: number;
}

class Host {
  readonly time = new VirtualTime();
  private readonly directory: string;
  private readonly random = new SeededRandom(3);
  private journal: TraceJournal;
  private gate: AgentTraceGate;
  private cookies = 0;

  constructor(directory: string) {
    this.directory = directory;
    [this.journal, this.gate] = this.begin();
  }

  /** The process is killed, and another one begins. */
  restart(): void {
    [this.journal, this.gate] = this.begin();
  }

  stop(): void {
    this.journal.close();
  }

  packet(trace: ArmedTrace, flow: number): GateDecision {
    const original = new FlowMatch();
    original.etherType = ETHERTYPE.IPV4;
    original.nwSrc = flow;
    const ctx = { startPort: "p" as PortId, original, trace: null } as unknown as PacketContext;
    const decision = this.gate.decide(trace, ctx);
    this.last = this.gate.takeCurrent();
    return decision;
  }

  private last: ReturnType<AgentTraceGate["takeCurrent"]> = [];

  /** An entry for the flow of the last packet. */
  install(): number {
    this.gate.attach(this.last, ++this.cookies);
    return this.cookies;
  }

  gone(cookie: number, idle: boolean): void {
    this.gate.entryGone(cookie, idle);
  }

  sweep(): void {
    this.gate.sweep();
  }

  private begin(): [TraceJournal, AgentTraceGate] {
    const journal = journalIn(this.directory);
    const gate = new AgentTraceGate(
      this.time,
      this.random,
      { exhausted: () => undefined, onlyCounted: () => undefined },
      journal,
    );
    gate.restore();
    return [journal, gate];
  }
}

describe("limits and running flows over restarts", () => {
  it("no limit is exceeded or begun anew, no living flow is traced twice, and no ended one is kept from it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(events, { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), (script, limit) =>
        withDirectory(async (directory) => {
          const host = new Host(directory);
          const traces = Array.from(
            { length: RULES },
            (_, n) =>
              ({
                ruleId: rule(n),
                requestId: `r${n}` as TraceRequestId,
                limit: BigInt(limit),
              }) as unknown as ArmedTrace,
          );
          const counted = new Array<number>(RULES).fill(0);
          const truth = new Map<string, Truth>();
          let restartedMs = Number.NEGATIVE_INFINITY;
          for (const e of script) {
            const now = host.time.monotonicMs();
            if (e.kind === "time") {
              // As the agent: every five seconds.
              for (let left = e.ms; left > 0; left -= 5_000) {
                await host.time.advance(Math.min(left, 5_000));
                host.sweep();
              }
              continue;
            }
            if (e.kind === "restart") {
              for (const t of truth.values()) {
                const lived = t.served !== null || now - t.lastMs < FLOW_MEMORY_MS;
                // The entry goes on serving it until the new agent comes: then it has a minute to show up.
                if (t.served !== null) t.lastMs = now + e.downMs;
                else if (!lived) t.lastMs = Number.NEGATIVE_INFINITY;
                t.served = null;
              }
              await host.time.advance(e.downMs);
              host.restart();
              restartedMs = host.time.monotonicMs();
              continue;
            }
            const name = `${e.rule} ${e.flow}`;
            const known = truth.get(name);
            if (e.kind === "idle" || e.kind === "removed") {
              if (known === undefined || known.served === null) continue;
              host.gone(known.served, e.kind === "idle");
              known.served = null;
              if (e.kind === "idle") truth.delete(name);
              else known.lastMs = now;
              continue;
            }
            const decision = host.packet(traces[e.rule] as ArmedTrace, e.flow);
            if (decision === "trace") counted[e.rule] = (counted[e.rule] as number) + 1;
            assert.ok((counted[e.rule] as number) <= limit, "the limit was exceeded");
            const sinceMs = known === undefined ? Number.POSITIVE_INFINITY : now - known.lastMs;
            const lives = known !== undefined && (known.served !== null || sinceMs < FLOW_MEMORY_MS);
            if (lives) assert.equal(decision, "known", `flow ${name} was traced ${sinceMs} ms ago, and again`);
            // A restart gives what lived then a minute more; beyond that nothing is remembered.
            const forgotten =
              known === undefined || (sinceMs >= FLOW_MEMORY_MS + SEEN_EVERY_MS && now - restartedMs >= FLOW_MEMORY_MS);
            const left = decision === "trace" || (counted[e.rule] as number) < limit;
            if (!lives && forgotten) assert.equal(decision, left ? "trace" : "exhausted");
            if (decision === "exhausted") {
              assert.equal(counted[e.rule], limit, "there was limit left");
              continue;
            }
            const flow = known ?? { served: null, lastMs: now };
            flow.lastMs = now;
            if (e.kind === "entry" && flow.served === null) flow.served = host.install();
            truth.set(name, flow);
          }
          host.stop();
        }),
      ),
      { numRuns: 400 },
    );
  });
});
