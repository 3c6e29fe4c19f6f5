import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { EmbeddedNsdb, type EmbeddedSession } from "#adapters/nsdb-embedded";
import type { NsdbOp } from "#core/nsdb";
import { NsdbTxError } from "#core/nsdb";
import { dump } from "../../support/nsdb-contract-kit.ts";
import { type ModelOutcome, NsdbModel, transaction } from "../../support/nsdb-model.ts";
import { withDirectory } from "../../support/nsdb-temporary.ts";

type Step =
  | { readonly kind: "commit"; readonly by: "a" | "b"; readonly ops: readonly NsdbOp[]; readonly wait: boolean }
  | { readonly kind: "expire"; readonly by: "a" | "b" }
  | { readonly kind: "reopen" };

const by = fc.constantFrom("a" as const, "b" as const);
const commit = fc.record({ kind: fc.constant("commit" as const), by, ops: transaction, wait: fc.boolean() });
const steps = (withReopen: boolean): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof<fc.WeightedArbitrary<Step>[]>(
      { weight: 15, arbitrary: commit },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("expire" as const), by }) },
      { weight: withReopen ? 1 : 0, arbitrary: fc.constant<Step>({ kind: "reopen" }) },
    ),
    { maxLength: 40, size: "max" },
  );

async function outcome(work: Promise<void>): Promise<ModelOutcome> {
  try {
    await work;
    return "done";
  } catch (error) {
    if (!(error instanceof NsdbTxError)) throw error;
    return `${error.failure} ${error.index}`;
  }
}

/** Plays the steps on both; what was not waited for is compared at the end. */
async function play(url: string, script: readonly Step[]): Promise<void> {
  const model = new NsdbModel();
  const server = new EmbeddedNsdb(url);
  const sessions: Record<"a" | "b", EmbeddedSession> = { a: server.session(), b: server.session() };
  const open = async (): Promise<void> => {
    await server.start();
    await Promise.all([sessions.a.start(), sessions.b.start()]);
  };
  const compared: Promise<void>[] = [];
  await open();
  for (const step of script) {
    switch (step.kind) {
      case "commit": {
        const expected = model.commit(step.ops, step.by);
        compared.push(outcome(sessions[step.by].commit(step.ops)).then((actual) => assert.equal(actual, expected)));
        if (step.wait) await Promise.all(compared);
        break;
      }
      case "expire": {
        await Promise.all(compared); // what is under way when the session is lost has no known outcome
        model.endSession(step.by);
        await sessions[step.by].expire();
        break;
      }
      case "reopen": {
        model.endSession();
        await server.stop();
        await open();
        break;
      }
    }
    if (step.kind !== "commit" || step.wait) assert.deepEqual(await dump(sessions.a), model.dump());
  }
  await Promise.all(compared);
  assert.deepEqual(await dump(sessions.b), model.dump());
  await server.stop();
}

it("memory: does what the naive model does", async () => {
  await fc.assert(
    fc.asyncProperty(steps(false), (script) => play("memory:", script)),
    { numRuns: 300 },
  );
});

it("file: does what the naive model does, reopened at any point", async () => {
  await fc.assert(
    fc.asyncProperty(steps(true), (script) => withDirectory((directory) => play(`file:${directory}`, script))),
    { numRuns: 60 },
  );
});

it("the model's scripts reach every outcome that they are meant to", async () => {
  const reached = new Set<string>();
  for (const script of fc.sample(steps(false), { numRuns: 300, seed: 1 })) {
    const model = new NsdbModel();
    for (const step of script)
      if (step.kind === "commit") reached.add(model.commit(step.ops, step.by).split(" ")[0] ?? "");
  }
  assert.deepEqual([...reached].sort(), [
    "BAD_VERSION",
    "EPHEMERAL_PARENT",
    "NODE_EXISTS",
    "NOT_EMPTY",
    "NO_NODE",
    "NO_PARENT",
    "done",
  ]);
});
