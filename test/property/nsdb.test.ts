import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { checkStore } from "#core/nsdb";
import { allowed, type Operation, restWork, type Step, step, traceWork } from "../support/nsdb-operations.ts";
import { openRig } from "../unit/nsdb/rig.ts";

async function play(work: readonly Operation[], steps: readonly Step[]): Promise<void> {
  const rig = await openRig();
  try {
    const [a, b] = [await rig.nsdb.bridges.create({}), await rig.nsdb.routers.create({})];
    const c = await rig.nsdb.chains.create({ name: "shared" });
    await rig.nsdb.bridges.create({ inboundFilterId: c.id });
    await rig.nsdb.ports.createOnBridge(a.id, {});
    await rig.nsdb.ports.createOnRouter(b.id, { portAddress: "10.0.0.9", networkLength: 24 });
    let flight: Promise<void>[] = [];
    const land = async (): Promise<void> => {
      await Promise.all(flight);
      flight = [];
      assert.deepEqual(await checkStore(rig.store), []);
    };
    for (const s of steps) {
      if (!s.together || flight.length >= 4) await land();
      const operation = work[s.what % work.length] as Operation;
      const topology = await rig.nsdb.readTopology();
      flight.push(allowed(operation(s.server === 0 ? rig.nsdb : rig.other, topology, s)));
    }
    await land();
  } finally {
    await rig.stop();
  }
}

describe("nsdb: whatever two servers do, the store stays sound", () => {
  const runs = Number(process.env["FC_RUNS"] ?? 60);
  const options = { numRuns: runs };

  it("trace requests, filters, chains and rules", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => play(traceWork, steps)),
      options,
    );
  });

  it("everything", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) =>
        play([...traceWork, ...restWork], steps),
      ),
      options,
    );
  });
});
