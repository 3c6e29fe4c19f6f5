import { type NsdbOp, NsdbTxError } from "#core/nsdb";

/** Most bytes (UTF-8) of one node's data, and of all data written by one transaction: ZooKeeper's `jute.maxbuffer`. */
export const MAX_DATA_BYTES = 1024 * 1024;

/**
 * What ZooKeeper refuses in a path (PathUtils.validatePath): controls, surrogates and the private use area (so nothing
 * outside the basic plane), and the specials at its end.
 */
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/;

/** True for "/" and for "/" followed by names parted by single slashes; "." and ".." are no names. */
export function isPath(path: string): boolean {
  if (path === "/") return true;
  if (!path.startsWith("/") || FORBIDDEN.test(path)) return false;
  return path
    .slice(1)
    .split("/")
    .every((name) => name !== "" && name !== "." && name !== "..");
}

/** @throws NsdbTxError BAD_PATH, with `index` as given. */
export function requirePath(path: string, index: number): void {
  if (!isPath(path)) throw new NsdbTxError("BAD_PATH", index, path);
}

/**
 * What can be said of a transaction without looking at the tree; asked before any precondition.
 * @throws NsdbTxError BAD_PATH (also for deleting the root), TOO_LARGE at the operation that exceeds a limit.
 */
export function requireWellFormed(ops: readonly NsdbOp[]): void {
  let totalBytes = 0;
  for (const [index, op] of ops.entries()) {
    if (!isPath(op.path) || (op.op === "delete" && op.path === "/")) throw new NsdbTxError("BAD_PATH", index, op.path);
    if (op.op !== "create" && op.op !== "set") continue;
    totalBytes += Buffer.byteLength(op.data);
    if (totalBytes > MAX_DATA_BYTES) throw new NsdbTxError("TOO_LARGE", index, op.path);
  }
}
