/** What every store refuses without looking at its tree: ZooKeeper's grammar of paths, and its sizes. */
import { type NsdbOp, NsdbTxError } from "./store.ts";

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
  // Counting costs a look at every character: only near the limit. No character takes more than three bytes per unit.
  const mayBeLarge = ops.reduce((sum, op) => sum + ("data" in op ? op.data.length * 3 : 0), 0) > MAX_DATA_BYTES;
  let totalBytes = 0;
  for (const [index, op] of ops.entries()) {
    if (!isPath(op.path) || (op.op === "delete" && op.path === "/")) throw new NsdbTxError("BAD_PATH", index, op.path);
    if (!mayBeLarge || (op.op !== "create" && op.op !== "set")) continue;
    totalBytes += utf8Length(op.data);
    if (totalBytes > MAX_DATA_BYTES) throw new NsdbTxError("TOO_LARGE", index, op.path);
  }
}

/** Bytes of the text in UTF-8; a lone surrogate counts as the three bytes of U+FFFD. */
function utf8Length(text: string): number {
  const whole = text.toWellFormed();
  let bytes = whole.length;
  for (let i = 0; i < whole.length; i++) {
    const unit = whole.charCodeAt(i);
    if (unit < 0x80) continue;
    // A surrogate is one of a pair here: two of them make four bytes.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
