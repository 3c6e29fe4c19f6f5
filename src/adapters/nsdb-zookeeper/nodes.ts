/** Nodes and transactions of the store ↔ those of the protocol. */
import { type NsdbNode, type NsdbOp, type NsdbTxFailure, NsdbTxError, NsdbUnavailable } from "#core/nsdb";
import { type AclEntry, type DataAndStat, ERR, errName, isEphemeral, type MultiOp } from "#protocols/zookeeper";
import type { Chroot } from "./chroot.ts";

/**
 * A zxid is 32 bits of the leader's epoch and 32 of a counter. As a number it is exact up to epoch 2^21 (two million
 * elections); beyond, neighbours become equal, and "newer" can no longer be told from "of the same transaction".
 */
export const EXACT_ZXID = 1n << 53n;

/** `path` as the store's user knows it. Data that is no UTF-8 reads with U+FFFD in its place. */
export function toNode(path: string, { data, stat }: DataAndStat): NsdbNode {
  return {
    path,
    data: Buffer.from(data.buffer, data.byteOffset, data.length).toString("utf8"),
    version: stat.version,
    createdZxid: Number(stat.createdZxid),
    ephemeral: isEphemeral(stat),
  };
}

export function toMultiOps(ops: readonly NsdbOp[], chroot: Chroot, acl: readonly AclEntry[]): MultiOp[] {
  return ops.map((op): MultiOp => {
    const path = chroot.outer(op.path);
    switch (op.op) {
      case "create":
        return { op: "create", path, data: Buffer.from(op.data), acl, ephemeral: op.ephemeral ?? false };
      case "set":
        return { op: "set", path, data: Buffer.from(op.data), version: op.version ?? -1 };
      case "delete":
        return { op: "delete", path, version: op.version ?? -1 };
      case "check":
        return { op: "check", path, version: op.version };
    }
  });
}

const FAILURES = new Map<number, NsdbTxFailure>([
  [ERR.nodeExists, "NODE_EXISTS"],
  [ERR.noNode, "NO_NODE"],
  [ERR.noChildrenForEphemerals, "EPHEMERAL_PARENT"],
  [ERR.badVersion, "BAD_VERSION"],
  [ERR.notEmpty, "NOT_EMPTY"],
  [ERR.badArguments, "BAD_PATH"],
]);

/** What a refused operation is to be reported as. "No node" of a creation means the parent. */
export function refusal(op: NsdbOp, index: number, err: number): Error {
  const failure = op.op === "create" && err === ERR.noNode ? "NO_PARENT" : FAILURES.get(err);
  return failure === undefined ? serverError(err, op.path) : new NsdbTxError(failure, index, op.path);
}

/** An answer that no user of the store can do anything about. */
export function serverError(err: number, what: string): NsdbUnavailable {
  const hint = err === ERR.noAuth ? ": other credentials are needed" : "";
  return new NsdbUnavailable(`ZooKeeper answered ${errName(err)} for ${what}${hint}`);
}
