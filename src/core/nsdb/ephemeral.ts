/** Nodes that say what is so while their session lasts. */
import { MidotraceError } from "#core/base";
import { EMPTY } from "./objects.ts";
import { type NsdbOp, type NsdbStore, NsdbTxError } from "./store.ts";
import { guard } from "./tx.ts";

/** Races for one node that are fought out before giving up. */
const ATTEMPTS = 8;

const refusedFor = (error: unknown, ...failures: string[]): boolean =>
  error instanceof NsdbTxError && failures.includes(error.failure);

/**
 * Makes the node this session's own, whoever had it: an old session's node would vanish under the new one.
 * @param owner what the node belongs to, for the message.
 * @throws MidotraceError NOT_FOUND when the node above is missing; CONFLICT; STORE_UNAVAILABLE.
 */
export async function ownNode(
  store: NsdbStore,
  path: string,
  data: string,
  owner: string,
  parents: readonly string[] = [],
): Promise<void> {
  const create: NsdbOp = { op: "create", path, data, ephemeral: true };
  await guard(async () => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const exists = (await store.get(path)) !== null;
      const missing = exists ? [] : await missingOf(store, parents);
      const before: NsdbOp[] = exists
        ? [{ op: "delete", path }]
        : missing.map((p) => ({ op: "create", path: p, data: EMPTY }));
      try {
        await store.commit([...before, create]);
        return;
      } catch (error) {
        if (refusedFor(error, "NO_PARENT")) throw new MidotraceError("NOT_FOUND", `no ${owner}`, [], { cause: error });
        if (!refusedFor(error, "NODE_EXISTS", "NO_NODE")) throw error;
      }
    }
    throw new MidotraceError("CONFLICT", `others kept changing ${path}`);
  });
}

/** Takes the node away, if it is there. @throws MidotraceError STORE_UNAVAILABLE */
export async function dropNode(store: NsdbStore, path: string): Promise<void> {
  await guard(async () => {
    try {
      await store.commit([{ op: "delete", path }]);
    } catch (error) {
      if (!refusedFor(error, "NO_NODE")) throw error;
    }
  });
}

async function missingOf(store: NsdbStore, paths: readonly string[]): Promise<string[]> {
  if (paths.length === 0) return [];
  const nodes = await store.getMany(paths);
  return paths.filter((_, i) => !nodes[i]);
}
