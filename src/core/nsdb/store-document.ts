/** A whole store as one JSON document: what `store export` writes and `store import` reads. */
import { MidotraceError, Violations } from "#core/base";
import { decode } from "./codec.ts";
import { identityOf, LAYOUT_VERSION } from "./identity.ts";
import { BRIDGE, type Kind, PORT, ROUTER, TRACE } from "./kinds.ts";
import { IMPORT_PATH, isDirectory, rowOf, STORE_PATH, TENANTS, TOP_DIRECTORIES } from "./paths.ts";
import type { NsdbStore } from "./store.ts";
import { indexNodes } from "./tenant-index.ts";
import { NsdbTree, readTree } from "./tree.ts";
import { guard } from "./tx.ts";

export const DOCUMENT_FORMAT = "midotrace-store";
export const DOCUMENT_VERSION = 1;

export interface StoreDocument {
  readonly format: typeof DOCUMENT_FORMAT;
  /** Of this document's form. The layout of the nodes has its own: `/store` says it. */
  readonly version: typeof DOCUMENT_VERSION;
  /** The store's identity. */
  readonly storeId: string;
  /** Wall clock, milliseconds: for people. */
  readonly exportedAtMs: number;
  /** False: the store was changed all the time, and the nodes may not be of one moment. */
  readonly consistent: boolean;
  /** Path → data, exact, each after its parent. Nodes that end with their agent's session are not here. */
  readonly nodes: Readonly<Record<string, string>>;
}

/**
 * @param nowMs wall clock, for `exportedAtMs`.
 * @throws MidotraceError CONFLICT when the store was never initialized or an import is not finished; STORE_UNAVAILABLE.
 */
export async function exportStore(store: NsdbStore, nowMs: number): Promise<StoreDocument> {
  const { tree, stable } = await guard(() => readTree(store));
  if (tree.get(IMPORT_PATH) !== null)
    throw new MidotraceError("CONFLICT", "an import into the store is not finished: what is there is not a whole");
  const identity = tree.get(STORE_PATH);
  if (identity === null) throw new MidotraceError("CONFLICT", "the store has no identity: it was never initialized");
  const persistent = [...tree.nodes()].filter((n) => !n.ephemeral);
  return {
    format: DOCUMENT_FORMAT,
    version: DOCUMENT_VERSION,
    storeId: identityOf(identity).id,
    exportedAtMs: nowMs,
    consistent: stable,
    nodes: Object.fromEntries(persistent.map((n) => [n.path, n.data])),
  };
}

/**
 * Reads what `JSON.parse` gave.
 * @throws MidotraceError VALIDATION naming everything that makes it no document of a store, or one of a later version.
 */
export function parseStoreDocument(value: unknown): StoreDocument {
  const v = new Violations();
  const from = (typeof value === "object" && value !== null ? value : {}) as Partial<
    Record<keyof StoreDocument, unknown>
  >;
  if (from.format !== DOCUMENT_FORMAT) v.add("format", `${DOCUMENT_FORMAT} expected`);
  else if (from.version !== DOCUMENT_VERSION)
    v.add("version", `${DOCUMENT_VERSION} expected, not ${JSON.stringify(from.version)}`);
  v.throwIfAny("the document");
  if (typeof from.exportedAtMs !== "number") v.add("exportedAtMs", "a number expected");
  if (typeof from.consistent !== "boolean") v.add("consistent", "true or false expected");
  const { nodes } = from;
  if (typeof nodes !== "object" || nodes === null || Array.isArray(nodes)) v.add("nodes", "an object expected");
  else checkNodes(nodes as Readonly<Record<string, unknown>>, from.storeId, v);
  v.throwIfAny("the document");
  const document = value as StoreDocument;
  // Those that a later version has added are made by who uses the store first.
  const made = Object.fromEntries(TOP_DIRECTORIES.map((path) => [path, ""]));
  const index = Object.hasOwn(document.nodes, TENANTS) ? {} : indexOf(document);
  return { ...document, nodes: { ...made, ...index, ...document.nodes } };
}

/** Of a document from before there was one. What cannot be read, the check of the whole will say. */
function indexOf({ nodes }: StoreDocument): Readonly<Record<string, string>> {
  const all = <T extends { readonly id: string }>(kind: Kind<T>): T[] =>
    Object.entries(nodes).flatMap(([path, data]) => {
      if (rowOf(path)?.pattern !== `${kind.directory}/<id>`) return [];
      try {
        return [decode(kind.read, data, path)];
      } catch {
        return [];
      }
    });
  const records = { bridges: all(BRIDGE), routers: all(ROUTER), ports: all(PORT), traces: all(TRACE) };
  return Object.fromEntries(indexNodes(records).map((path) => [path, ""]));
}

function checkNodes(nodes: Readonly<Record<string, unknown>>, storeId: unknown, v: Violations): void {
  for (const [path, data] of Object.entries(nodes)) {
    const row = rowOf(path);
    const known = path.startsWith("/") && (row === null ? isDirectory(path) : row.type === "P");
    if (!known || path === IMPORT_PATH) v.add(`nodes.${path}`, "no path of a node that an import makes");
    if (typeof data !== "string") v.add(`nodes.${path}`, "a text expected");
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (parent !== "" && !Object.hasOwn(nodes, parent)) v.add(`nodes.${path}`, `its parent ${parent} is missing`);
  }
  const own = nodes[STORE_PATH];
  if (typeof own !== "string") v.add(`nodes.${STORE_PATH}`, "the identity of the store is missing");
  else checkIdentity(own, storeId, v);
}

function checkIdentity(data: string, storeId: unknown, v: Violations): void {
  try {
    const { id, version } = identityOf({ path: STORE_PATH, data });
    if (id !== storeId) v.add("storeId", `${id} expected, as ${STORE_PATH} says`);
    if (version > LAYOUT_VERSION)
      v.add(`nodes.${STORE_PATH}`, `layout ${version} is later than ${LAYOUT_VERSION}, which this program knows`);
  } catch (error) {
    v.add(`nodes.${STORE_PATH}`, (error as Error).message);
  }
}

/** The content as the store will have it: to be checked before anything is written. */
export function treeOf(document: StoreDocument): NsdbTree {
  return new NsdbTree(Object.entries(document.nodes).map(([path, data]) => ({ path, data, ephemeral: false })));
}
