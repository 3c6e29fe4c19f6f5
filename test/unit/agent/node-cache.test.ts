import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { EmbeddedNsdb, type EmbeddedSession } from "#adapters/nsdb-embedded";
import { type ChainId, SeededRandom, type TenantId } from "#core/base";
import { Nsdb, type NsdbNode, type NsdbStore, NsdbUnavailable, RULE } from "#core/nsdb";
import { NodeCache } from "../../../src/apps/agent/node-cache.ts";
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
    children: async (path: string): Promise<string[]> => {
      this.paths.push(`${path}/*`);
      const answer = await session.children(path);
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
  const cache = new NodeCache(asked.store);
  const rules = [await made(1), await made(6), await made(17)];
  const paths = rules.map(pathOf);
  const protos = async (): Promise<(number | undefined)[]> =>
    (await cache.records(RULE.read, paths)).map((r) => r.condition.nwProto);
  assert.deepEqual(await protos(), [1, 6, 17]);
  assert.deepEqual(await protos(), [1, 6, 17]);
  assert.deepEqual(asked.paths, paths);

  await nsdb.rules.delete((rules[1] as (typeof rules)[number]).id);
  cache.touched(paths[1] as string);
  assert.deepEqual(await protos(), [1, 17]);
  assert.deepEqual(asked.paths.slice(3), [paths[1]]);
  assert.deepEqual(await protos(), [1, 17]);
  assert.equal(asked.paths.length, 4, "that it is gone is known");

  cache.clear();
  assert.deepEqual(await protos(), [1, 17]);
  assert.equal(asked.paths.length, 7);
});

test("what several ask for in one turn is one question, and each path is in it once", async () => {
  const questions: (readonly string[])[] = [];
  const store = {
    getMany: (paths: readonly string[]) => {
      questions.push(paths);
      return session.getMany(paths);
    },
  } as unknown as NsdbStore;
  const cache = new NodeCache(store);
  const [a, b, c] = [await made(1), await made(6), await made(17)];
  const one = async (): Promise<unknown> => cache.records(RULE.read, [pathOf(a), pathOf(b)]);
  const two = async (): Promise<unknown> => {
    await Promise.resolve();
    return cache.records(RULE.read, [pathOf(b), pathOf(c)]);
  };
  await Promise.all([one(), two()]);
  assert.deepEqual(questions, [[a, b, c].map(pathOf)]);
  await cache.records(RULE.read, [pathOf(a), pathOf(b), pathOf(c)]);
  assert.equal(questions.length, 1);
});

test("a question that the store does not answer fails for all who asked, and the next is another", async () => {
  let down = true;
  const store = {
    getMany: async (paths: readonly string[]) => {
      if (down) throw new NsdbUnavailable("away");
      return session.getMany(paths);
    },
  } as unknown as NsdbStore;
  const cache = new NodeCache(store);
  const rule = await made(1);
  const outcomes = await Promise.allSettled([
    cache.records(RULE.read, [pathOf(rule)]),
    cache.records(RULE.read, [pathOf(rule)]),
  ]);
  assert.deepEqual(
    outcomes.map((o) => o.status),
    ["rejected", "rejected"],
  );
  down = false;
  assert.equal((await cache.records(RULE.read, [pathOf(rule)])).length, 1);
});

test("a node that was told with a change is not asked for, until it changes again or is forgotten", async () => {
  const asked = new Asked();
  const cache = new NodeCache(asked.store);
  const rule = await made(1);
  const path = pathOf(rule);
  const proto = async (): Promise<number | undefined> =>
    (await cache.records(RULE.read, [pathOf(rule)]))[0]?.condition.nwProto;
  const told = await session.getMany([path]);
  cache.took(new Map([[path, told[0] ?? null]]));
  assert.equal(await proto(), 1);
  assert.equal(await proto(), 1);
  assert.deepEqual(asked.paths, []);

  await nsdb.rules.delete(rule.id);
  cache.touched(path);
  cache.took(new Map([[path, null]]));
  assert.equal(await proto(), undefined);
  assert.deepEqual(asked.paths, []);

  for (const forget of [() => cache.touched(path), () => cache.forgetTold(), () => cache.clear()]) {
    cache.touched(path);
    cache.took(new Map([[path, told[0] ?? null]]));
    const before: number = asked.paths.length;
    forget();
    assert.equal(await proto(), undefined, "what the store says now");
    assert.equal(asked.paths.length, before + 1);
  }
});

test("the children of a node are asked for once, and again when one comes or goes", async () => {
  const asked = new Asked();
  const cache = new NodeCache(asked.store);
  assert.deepEqual(await cache.children(RULE.directory), []);
  const rule = await made(1);
  assert.deepEqual(await cache.children(RULE.directory), []);
  cache.touchedChildren(RULE.directory);
  assert.deepEqual(await cache.children(RULE.directory), [rule.id]);
  assert.deepEqual(await cache.children(RULE.directory), [rule.id]);
  assert.equal(asked.paths.length, 2);
});

test("a node that makes no sense is an error or left out, as it is asked, until it changes", async () => {
  const asked = new Asked();
  const cache = new NodeCache(asked.store);
  const [bad, good] = [await made(1), await made(6)];
  const paths = [bad, good].map(pathOf);
  const path = pathOf(bad);
  const node = await session.get(path);
  await session.commit([{ op: "set", path, data: "{}" }]);
  const complaints: unknown[] = [];
  const readable = async (): Promise<string[]> =>
    (await cache.readable(RULE.read, paths, (error) => complaints.push(error))).map((r) => r.id);
  assert.deepEqual(await readable(), [good.id]);
  assert.deepEqual(await readable(), [good.id]);
  assert.equal(complaints.length, 2);
  await assert.rejects(cache.records(RULE.read, paths), { code: "INTERNAL" });
  await assert.rejects(cache.value(path, RULE.read), { code: "INTERNAL" });
  assert.equal(asked.paths.length, 2);
  await session.commit([{ op: "set", path, data: node?.data ?? "" }]);
  cache.touched(path);
  assert.deepEqual(await readable(), [bad.id, good.id]);
});

for (const [name, happens] of [
  ["a change", (cache: NodeCache, path: string) => cache.touched(path)],
  ["a gap", (cache: NodeCache) => cache.clear()],
] as const) {
  test(`an answer that is overtaken by ${name} is used, but not kept`, async () => {
    const asked = new Asked();
    const cache = new NodeCache(asked.store);
    const rule = await made(1);
    const gate = Promise.withResolvers<void>();
    asked.hold = gate.promise;
    const reading = cache.records(RULE.read, [pathOf(rule)]);
    happens(cache, pathOf(rule));
    gate.resolve();
    assert.equal((await reading).length, 1);
    assert.equal(cache.size, 0);
    await cache.records(RULE.read, [pathOf(rule)]);
    assert.equal(cache.size, 1);
    assert.equal(asked.paths.length, 2);
  });
}

test("a node that is known and changes while others are asked for is given as it was", async () => {
  const asked = new Asked();
  const cache = new NodeCache(asked.store);
  const [old, young] = [await made(1), await made(6)];
  await cache.records(RULE.read, [pathOf(old)]);
  const reading = cache.records(RULE.read, [old, young].map(pathOf));
  cache.touched(pathOf(old));
  assert.deepEqual(
    (await reading).map((rule) => rule.id),
    [old.id, young.id],
  );
});

test("children that are overtaken by a new one are not kept", async () => {
  const asked = new Asked();
  const cache = new NodeCache(asked.store);
  const gate = Promise.withResolvers<void>();
  asked.hold = gate.promise;
  const reading = cache.children(RULE.directory);
  cache.touchedChildren(RULE.directory);
  gate.resolve();
  await reading;
  assert.equal(cache.size, 0);
});
