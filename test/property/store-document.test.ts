import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { checkStore, exportStore, importStore, parseStoreDocument, readTopology } from "#core/nsdb";
import { allowed, type Operation, restWork, step, traceWork } from "../support/nsdb-operations.ts";
import { openRig } from "../unit/nsdb/rig.ts";

it("whatever a store holds, export and import bring the same topology and traces, also over another store", async () => {
  const work: readonly Operation[] = [...traceWork, ...restWork];
  const numRuns = Number(process.env["FC_RUNS"] ?? 40);
  let traced = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      const rig = await openRig();
      const server = new EmbeddedNsdb("memory:");
      await server.start();
      try {
        const target = server.session();
        await target.start();
        const [a, b] = [await rig.nsdb.bridges.create({}), await rig.nsdb.routers.create({})];
        await rig.nsdb.ports.createOnBridge(a.id, {});
        await rig.nsdb.ports.createOnRouter(b.id, { portAddress: "10.0.0.9", networkLength: 24 });
        // Twice: into an empty store, then over what the first half had made of it.
        for (const half of [steps.slice(0, steps.length / 2), steps.slice(steps.length / 2)]) {
          for (const s of half) {
            const operation = work[s.what % work.length] as Operation;
            await allowed(operation(rig.nsdb, await rig.nsdb.readTopology(), s));
          }
          const document = parseStoreDocument(JSON.parse(JSON.stringify(await exportStore(rig.store, 0))));
          const force = half[0] !== steps[0];
          await importStore(target, document, { documentId: "d", nowMs: 0, force });
          assert.deepEqual(await readTopology(target), await readTopology(rig.store));
          assert.deepEqual((await exportStore(target, 0)).nodes, document.nodes);
          assert.deepEqual(await checkStore(target), []);
          traced += (await readTopology(target)).traces.filter((r) => r.enabledRule !== null).length;
        }
      } finally {
        await server.stop();
        await rig.stop();
      }
    }),
    { numRuns },
  );
  assert.ok(traced >= numRuns / 2, `${traced} enabled traces went along`);
});
