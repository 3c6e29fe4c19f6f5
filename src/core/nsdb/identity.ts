/** Which store this is: a tree is made once, and then has an identity that tells it from every other. */
import type { Random } from "#core/base";
import { decode, encode, int, object, text } from "./codec.ts";
import { EMPTY } from "./objects.ts";
import { IMPORT_PATH, STORE_PATH, TENANTS, TOP_DIRECTORIES } from "./paths.ts";
import { type NsdbNode, type NsdbOp, type NsdbStore, NsdbTxError, NsdbUnavailable } from "./store.ts";
import { indexNodes } from "./tenant-index.ts";
import { fromStore, readFrom } from "./topology-reader.ts";
import { guard } from "./tx.ts";

export interface StoreIdentity {
  /** A UUID, the same for the whole life of the data: an export takes it along, an import brings it back. */
  readonly id: string;
  /** Of the layout that `PATHS` describes. */
  readonly version: number;
}

/** The layout that this program reads and writes. */
export const LAYOUT_VERSION = 1;

export const readIdentity = object<StoreIdentity>({ id: text(), version: int });

/** What stands at `/import` while an import is not finished. */
export interface ImportMark {
  /** Of the document that is being imported: only the same one may go on. */
  readonly documentId: string;
  /** The identity that the store will have. */
  readonly storeId: string;
  /** Wall clock, milliseconds: for people. */
  readonly startedAtMs: number;
}

export const readImportMark = object<ImportMark>({ documentId: text(), storeId: text(), startedAtMs: int });

/** @throws MidotraceError INTERNAL for malformed data. */
export const identityOf = (node: Pick<NsdbNode, "path" | "data">): StoreIdentity =>
  decode(readIdentity, node.data, node.path);

/**
 * Makes the top directories and gives the store its identity; does nothing when they are there.
 * @throws MidotraceError STORE_UNAVAILABLE, also while an import is not finished: what is missing then is about to come.
 */
export async function initialize(store: NsdbStore, random: Random): Promise<void> {
  const wanted = [...TOP_DIRECTORIES, STORE_PATH];
  await guard(async () => {
    for (let attempt = 0; ; attempt++) {
      const [mark, ...nodes] = await store.getMany([IMPORT_PATH, ...wanted]);
      if (mark) throw new NsdbUnavailable("an import into the store is not finished");
      const missing = wanted.filter((_, i) => !nodes[i]);
      if (missing.length === 0) return;
      // A store of an earlier version has requests and no index of them; in a new one there is nothing to be read.
      const old = missing.includes(TENANTS) && !missing.includes("/traces");
      const index = old ? indexNodes(await readFrom(fromStore(store))).filter((path) => path !== TENANTS) : [];
      const paths = [...missing, ...index];
      try {
        await store.commit(paths.map((path): NsdbOp => ({ op: "create", path, data: contentOf(path, random) })));
        return;
      } catch (error) {
        // Another server does the same at this moment.
        if (!(error instanceof NsdbTxError && error.failure === "NODE_EXISTS") || attempt > wanted.length) throw error;
      }
    }
  });
}

const contentOf = (path: string, random: Random): string =>
  path === STORE_PATH ? encode(readIdentity, { id: random.uuid(), version: LAYOUT_VERSION }, path) : EMPTY;
