/** What each node promises by itself: it has a place in `PATHS`, the type and the content said there, and a valid record. */
import { MidotraceError, Violations } from "#core/base";
import { parseStaticMac } from "./bridge-tables.ts";
import type { Check } from "./check-kit.ts";
import { decode } from "./codec.ts";
import { CONTENT, RECORD_KINDS } from "./content.ts";
import { readMember, type Kind } from "./kinds.ts";
import {
  chainRulesPath,
  IMPORT_PATH,
  isDirectory,
  parseChainRef,
  pathElements,
  rowOf,
  STORE_PATH,
  TOP_DIRECTORIES,
  TUNNEL_KEYS,
} from "./paths.ts";
import type { NsdbTree, TreeNode } from "./tree.ts";

/** The nodes that do not hold what their row of `PATHS` says, with the reason. */
export function illegible(tree: NsdbTree): Map<string, string> {
  const bad = new Map<string, string>();
  for (const node of tree.nodes()) {
    const why = contentProblem(node);
    if (why !== null) bad.set(node.path, why);
  }
  return bad;
}

function contentProblem({ path, data }: TreeNode): string | null {
  const row = rowOf(path);
  const read = row === null ? undefined : CONTENT[row.pattern];
  if (read === undefined) return data === "" ? null : `${path} holds data, where none is expected`;
  // The counter of a store in which no key was given out.
  if (path === TUNNEL_KEYS && data === "") return null;
  try {
    decode(read, data, path);
    return null;
  } catch (error) {
    if (!(error instanceof MidotraceError)) throw error;
    return error.message;
  }
}

export function checkNodes(k: Check): void {
  if (k.tree.size === 0) {
    k.say(false, "the store is empty: nobody has used it yet");
    return;
  }
  for (const { path, ephemeral } of k.tree.nodes()) {
    const row = rowOf(path);
    if (row === null && !isDirectory(path)) {
      k.say(false, `${path} is not known`);
      continue;
    }
    const why = k.bad.get(path);
    if (why !== undefined) k.say(false, why);
    const shall = row?.type === "E";
    k.say(ephemeral === shall, `${path} is ${ephemeral ? "ephemeral" : "persistent"}, and should not be`);
    checkName(k, path, row?.pattern ?? "");
  }
  for (const path of TOP_DIRECTORIES) k.say(k.tree.get(path) !== null, `${path} is missing`);
  k.say(k.tree.get(STORE_PATH) !== null, `${STORE_PATH} is missing: the store has no identity`);
  k.say(k.tree.get(IMPORT_PATH) === null, "an import into the store is not finished: import the same document again");
  for (const kind of RECORD_KINDS) checkRecords(k, kind as unknown as Kind<{ readonly id: string }>);
  for (const { id } of k.t.chains) k.say(k.tree.get(chainRulesPath(id)) !== null, `${chainRulesPath(id)} is missing`);
}

/** Names that are made of something have its form. */
function checkName(k: Check, path: string, pattern: string): void {
  const [name = "", parent = ""] = pathElements(path).reverse();
  if (pattern === "/chains/<id>/refs/<type>:<id>") k.say(parseChainRef(name) !== null, `${path} is no reference`);
  if (pattern.endsWith("/<mac>,<portId>"))
    k.say(/^([0-9a-f]{2}:){5}[0-9a-f]{2},[0-9a-f-]{36}$/.test(name), `${path} is no MAC and port`);
  if (pattern.endsWith("/<vlan>,<mac>")) k.say(parseStaticMac(name) !== null, `${path} is no VLAN and MAC`);
  if (pattern.endsWith("/<ip>,<mac>"))
    k.say(/^(\d{1,3}\.){3}\d{1,3},([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(name), `${path} is no IP address and MAC`);
  if (pattern === "/tunnel_keys/<key>") k.say(/^[1-9]\d{0,6}$/.test(name), `${path} is no tunnel key`);
  const text = k.text(path);
  if (pattern !== "/tunnel_zones/<id>/memberships/<hostId>" || text === null) return;
  const member = decode(readMember, text, path);
  const zone = pathElements(path)[1];
  k.say(member.hostId === name && member.tunnelZoneId === zone && parent === "memberships", `${path} names others`);
}

/** A record has the id of its place, is valid, and has its directories. */
function checkRecords(k: Check, kind: Kind<{ readonly id: string }>): void {
  for (const name of k.tree.childNames(kind.directory)) {
    const path = `${kind.directory}/${name}`;
    const text = k.text(path);
    if (text === null) continue;
    const record = decode(kind.read, text, path);
    k.say(record.id === name, `${path} holds the ${kind.name} ${record.id}`);
    const violations = new Violations();
    kind.validate(record, violations);
    for (const v of violations.list) k.say(false, `${path}: ${v.property}: ${v.message}`);
    for (const child of kind.children) k.say(k.tree.get(`${path}/${child}`) !== null, `${path}/${child} is missing`);
  }
}
