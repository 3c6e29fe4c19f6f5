/** Several operations in one request. Each is headed by: int type | boolean done | int err; the end by -1, true, -1. */
import { ERR, OP } from "./codes.ts";
import type { JuteReader } from "./jute.ts";
import { JuteWriter } from "./jute.ts";
import { requestFrame, sealed } from "./messages.ts";
import {
  type CreateOptions,
  type DataAndStat,
  readDataAndStat,
  readStat,
  writeCreate,
  type ZkRequest,
} from "./requests.ts";

export type MultiOp =
  | ({ readonly op: "create"; readonly path: string } & CreateOptions)
  /** `version` -1: whatever it is. */
  | { readonly op: "set"; readonly path: string; readonly data: Uint8Array; readonly version: number }
  | { readonly op: "delete"; readonly path: string; readonly version: number }
  | { readonly op: "check"; readonly path: string; readonly version: number };

const TYPE = { create: OP.create, set: OP.setData, delete: OP.delete, check: OP.check } as const;

/** `err` is what made the whole fail; the operation itself would have failed with it. */
export interface MultiFailure {
  readonly index: number;
  readonly err: number;
}

/** A transaction: all or nothing. Reads as null when it was done, or as the operation that was refused. */
export function multi(ops: readonly MultiOp[]): ZkRequest<MultiFailure | null> {
  const w = requestFrame(OP.multi);
  for (const op of ops) writeOp(w, op);
  const name = ops.length === 1 ? `${ops[0]?.op} ${ops[0]?.path}` : `a transaction of ${ops.length}`;
  return { name, frame: sealed(end(w)), read: (r) => readOutcome(r, ops.length) };
}

/**
 * Where a transaction that is too long for one request goes over the limit: the first operation that does not fit. Null
 * when all fit. Costs as much as encoding it.
 */
export function firstBeyond(ops: readonly MultiOp[], maxFrameBytes: number): number | null {
  // Header of the request and end of the list.
  let bytes = 8 + 9;
  for (const [index, op] of ops.entries()) {
    bytes += writeOp(new JuteWriter(), op).length;
    if (bytes > maxFrameBytes) return index;
  }
  return null;
}

/** Data of many nodes, in the order asked; an error code where there is none to be had. One moment's view. */
export function multiRead(paths: readonly string[]): ZkRequest<(DataAndStat | number)[]> {
  const w = requestFrame(OP.multiRead);
  for (const path of paths) w.int(OP.getData).bool(false).int(-1).ustring(path).bool(false);
  const read = (r: JuteReader): (DataAndStat | number)[] => {
    const results = readResults(r, (type) => (type === OP.getData ? readDataAndStat(r) : null));
    if (results.length !== paths.length) r.fail(`${results.length} results for ${paths.length} reads`);
    return results;
  };
  return { name: `a read of ${paths.length} nodes`, frame: sealed(end(w)), read };
}

/** Bytes that a path takes in a multiRead, at most. */
export const multiReadBytes = (path: string): number => 14 + path.length * 3;

function writeOp(w: JuteWriter, op: MultiOp): JuteWriter {
  w.int(TYPE[op.op]).bool(false).int(-1);
  switch (op.op) {
    case "create":
      return writeCreate(w, op.path, op);
    case "set":
      return w.ustring(op.path).buffer(op.data).int(op.version);
    case "delete":
    case "check":
      return w.ustring(op.path).int(op.version);
  }
}

function end(w: JuteWriter): JuteWriter {
  return w.int(-1).bool(true).int(-1);
}

/** The body of one result by the type in its header; null: no type that was asked for. */
type ReadBody<T> = (type: number) => T | null;

function readResults<T>(r: JuteReader, body: ReadBody<T>): (T | number)[] {
  const results: (T | number)[] = [];
  for (;;) {
    const type = r.int("the type of a result");
    const done = r.bool("the end mark of a result");
    r.int("the error of a result");
    if (r.failure !== null || done) return results;
    const value = type === OP.error ? r.int("the error code of a result") : body(type);
    if (value === null) r.fail(`a result of type ${type}`);
    else results.push(value);
  }
}

/**
 * A refused transaction is answered with error 0 in the header and a list of codes: 0 for what was in order, -2 for what
 * was not looked at, and the cause in between.
 */
function readOutcome(r: JuteReader, count: number): MultiFailure | null {
  const results = readResults(r, (type) => {
    if (type === OP.create) r.ustring("a created path");
    else if (type === OP.setData) readStat(r);
    else if (type !== OP.delete && type !== OP.check) return null;
    return "done" as const;
  });
  if (r.failure === null && results.length !== count) r.fail(`${results.length} results for ${count} operations`);
  const cause = results.findIndex(
    (result) => result !== "done" && result !== ERR.ok && result !== ERR.runtimeInconsistency,
  );
  if (cause >= 0) return { index: cause, err: results[cause] as number };
  // A list of codes without a cause would be no answer.
  if (results.some((result) => result !== "done")) r.fail("a refused transaction without the refused operation");
  return null;
}
