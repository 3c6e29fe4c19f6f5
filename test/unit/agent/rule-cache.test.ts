import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { EmbeddedNsdb, type EmbeddedSession } from "#adapters/nsdb-embedded";
import { type ChainId, SeededRandom, type TenantId } from "#core/base";
import { Nsdb, type NsdbNode, type NsdbStore, RULE } from "#core/nsdb";
import { RuleCache } from "../../../src/apps/agent/rule-cache.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

let server: EmbeddedNsdb;
let session: EmbeddedSession;
let nsdb: Nsdb;
let chain: ChainId;

/** Counts what is asked of the store; `hold` keeps its answers back until it is called. */
class Asked {
  readonly paths: string[] = [];
  hold: Promise<void> | null = null;
  readonly store: NsdbStore = {
    getMany: async (paths: readonly string[]): Promise<(NsdbNode | null)[]> => {
      this.paths.push(...paths);
      const answer = await session.getMany(paths);
      await this.hold;
      return answer;
    },
  } as never;
}

beforeEach(async () => {
  server = new EmbeddedNsdb("memory:");
  await server.start();
  session = server.session();
  await session.start();
  nsdb = new Nsdb(session, new SeededRandom(1), new VirtualTime());
  await nsdb.initialize();
  chain = (await nsdb.chains.create({ name: "c", tenantId: "t" as TenantId })).id;
});

afterEach(() => server.stop());

const pathOf = (rule: { readonly id: string }): string => `${RULE.directory}/${rule.id}`;
const made = (proto: number) =>
  nsdb.rules.create(chain, { type: "drop", condition: { nwProto: proto }, meterName: null });

test("a rule is asked for once, and again when it changed or after a gap; what is gone is left out", async () => {
  const asked = new Asked();
  const cache = new RuleCache(asked.store);
  const rules = [await made(1), await made(6), await made(17)];
  const paths = rules.map(pathOf);
  const protos = async (): Promise<(number | undefined)[]> =>
    (await cache.records(paths)).map((r) => r.condition.nwProto);
  assert.deepEqual(await protos(), [1, 6, 17]);
  assert.deepEqual(await protos(), [1, 6, 17]);
  assert.deepEqual(asked.paths, paths);

  await nsdb.rules.delete((rules[1] as (typeof rules)[number]).id);
  cache.touched(paths[1] as string);
  assert.deepEqual(await protos(), [1, 17]);
  assert.deepEqual(asked.paths.slice(3), [paths[1]]);
  assert.equal(cache.size, 2);

  cache.clear();
  assert.deepEqual(await protos(), [1, 17]);
  assert.equal(asked.paths.length, 7);
});

for (const [name, happens] of [
  ["a change", (cache: RuleCache, path: string) => cache.touched(path)],
  ["a gap", (cache: RuleCache) => cache.clear()],
] as const) {
  test(`an answer that is overtaken by ${name} is used, but not kept`, async () => {
    const asked = new Asked();
    const cache = new RuleCache(asked.store);
    const path = pathOf(await made(1));
    const gate = Promise.withResolvers<void>();
    asked.hold = gate.promise;
    const reading = cache.records([path]);
    happens(cache, path);
    gate.resolve();
    assert.equal((await reading).length, 1);
    assert.equal(cache.size, 0);
    await cache.records([path]);
    assert.equal(cache.size, 1);
    assert.equal(asked.paths.length, 2);
  });
}
