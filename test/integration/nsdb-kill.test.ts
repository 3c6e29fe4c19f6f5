import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { EmbeddedNsdb, type Faults } from "#adapters/nsdb-embedded";
import { type BridgeId, type ChainId, SeededRandom, type TraceRequestId } from "#core/base";
import { checkStore, Nsdb } from "#core/nsdb";
import { VirtualTime } from "../support/virtual-time.ts";

/** Each process makes ids of its own. */
let nextSeed = 1;

/** Opens the directory as a process that starts would. */
async function open(dir: string, faults: Faults = {}): Promise<{ nsdb: Nsdb; store: EmbeddedNsdb }> {
  const store = new EmbeddedNsdb(`file:${dir}`, { faults, onListenerError: () => undefined });
  await store.start();
  const session = store.session();
  await session.start();
  return { nsdb: new Nsdb(session, new SeededRandom(nextSeed++), new VirtualTime()), store };
}

interface Scene {
  readonly bridge: BridgeId;
  readonly chain: ChainId | null;
  readonly trace: TraceRequestId;
  readonly other: TraceRequestId;
}

/** A bridge (with a chain of its own, or without), one request to change, one that is enabled already. */
async function scene(nsdb: Nsdb, withChain: boolean, enabled: boolean): Promise<Scene> {
  await nsdb.initialize();
  const chain = withChain ? (await nsdb.chains.create({ name: "user's", tenantId: "red" as never })).id : null;
  if (chain !== null) await nsdb.rules.create(chain, { type: "drop", condition: { nwProto: 6 }, meterName: null });
  const bridge = (await nsdb.bridges.create({ name: "b", tenantId: "red" as never, inboundFilterId: chain })).id;
  const input = { deviceType: "BRIDGE" as const, deviceId: bridge, condition: { nwProto: 1 } };
  const other = (await nsdb.traces.create({ ...input, name: "other", enabled: true })).id;
  const trace = (await nsdb.traces.create({ ...input, name: "changed", enabled })).id;
  return { bridge, chain, trace, other };
}

type Change = "enable" | "disable" | "delete";
const CHANGES: readonly Change[] = ["enable", "disable", "delete"];

/** Wholly as it was or wholly changed; anything else is a failure. */
async function state(nsdb: Nsdb, s: Scene): Promise<"enabled" | "disabled" | "deleted"> {
  const record = await nsdb.traces.find(s.trace);
  const bridge = await nsdb.bridges.get(s.bridge);
  assert.notEqual(bridge.inboundFilterId, null, "the other request is enabled, so there is an infilter");
  const rules = await nsdb.rules.list(bridge.inboundFilterId as ChainId);
  const mine = rules.filter((r) => r.type === "trace" && r.requestId === s.trace);
  const others = rules.filter((r) => r.type === "trace" && r.requestId === s.other);
  assert.equal(others.length, 1, "nobody touched the other request's rule");
  if (record === null) {
    assert.equal(mine.length, 0, "the request is gone, and so is its rule");
    return "deleted";
  }
  assert.equal(mine.length, record.enabledRule === null ? 0 : 1, "the rule and the flag agree");
  assert.equal(mine[0]?.id ?? null, record.enabledRule);
  return record.enabledRule === null ? "disabled" : "enabled";
}

describe("killing the process at every store operation", () => {
  for (const change of CHANGES) {
    for (const withChain of [true, false]) {
      for (const when of ["beforeDurable", "afterDurable"] as const) {
        it(`${change}, ${withChain ? "a chain of the user's" : "an automatic chain"}, killed ${when}`, async () => {
          const before = change === "enable" ? "disabled" : "enabled";
          const after = { enable: "enabled", disable: "disabled", delete: "deleted" }[change];
          let operations = 0;
          for (let n = 1; ; n++) {
            const dir = mkdtempSync(join(tmpdir(), "midotrace-kill-"));
            try {
              const first = await open(dir);
              const s = await scene(first.nsdb, withChain, change !== "enable");
              await first.store.stop();
              const dying = await open(dir, {
                [when]: (k: number) => {
                  operations = Math.max(operations, k);
                  if (k === n) throw new Error("killed");
                },
              });
              const work = dying.nsdb.traces[change](s.trace);
              const died = await work.then(
                () => false,
                () => true,
              );
              await dying.store.stop().catch(() => undefined);
              const again = await open(dir);
              const found = await state(again.nsdb, s);
              assert.equal(found, died && when === "beforeDurable" ? before : after);
              const session = again.store.session();
              await session.start();
              assert.deepEqual(await checkStore(session), []);
              await again.store.stop();
              if (!died) break;
            } finally {
              rmSync(dir, { recursive: true, force: true });
            }
          }
          assert.equal(operations, 1, "one transaction: there is no state in between");
        });
      }
    }
  }
});
