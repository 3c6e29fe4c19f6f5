/**
 * Ordinary requests, each with the decoder of its reply.
 *
 * None of them can leave a one-shot watch: the `watch` byte of reads is always 0. A one-shot watch on the path of a
 * recursive one of the same session removes the recursive one with it (ZOOKEEPER-4466, servers before 3.9 and 3.8.2); not
 * to have them at all is what keeps the two apart.
 */
import { OP, PERM_ALL } from "./codes.ts";
import type { JuteReader, JuteWriter } from "./jute.ts";
import { requestFrame, sealed } from "./messages.ts";

/** A frame whose number is still to be filled in, and how to read what is behind the header of its reply. */
export interface ZkRequest<R> {
  /** For messages: `getData /x`. */
  readonly name: string;
  readonly frame: Uint8Array;
  read(r: JuteReader): R;
}

export interface AclEntry {
  readonly permissions: number;
  readonly scheme: string;
  readonly id: string;
}

/** Everybody may do everything. */
export const ACL_OPEN: readonly AclEntry[] = [{ permissions: PERM_ALL, scheme: "world", id: "anyone" }];
/** Only who has shown the same credentials may do anything. */
export const ACL_CREATOR: readonly AclEntry[] = [{ permissions: PERM_ALL, scheme: "auth", id: "" }];

export interface Stat {
  /** The transaction that created the node. */
  readonly createdZxid: bigint;
  readonly version: number;
  /** The session that the node lives with, or 0; see `isEphemeral`. */
  readonly ephemeralOwner: bigint;
}

/** 68 bytes: czxid 8 | mzxid 8 | ctime 8 | mtime 8 | version 4 | cversion 4 | aversion 4 | ephemeralOwner 8 | dataLength 4 | numChildren 4 | pzxid 8 */
export function readStat(r: JuteReader): Stat {
  const createdZxid = r.long("a node's czxid");
  r.long("a node's mzxid");
  r.long("a node's ctime");
  r.long("a node's mtime");
  const version = r.int("a node's version");
  r.int("a node's cversion");
  r.int("a node's aversion");
  const ephemeralOwner = r.long("a node's owner");
  r.int("a node's data length");
  r.int("a node's number of children");
  r.long("a node's pzxid");
  return { createdZxid, version, ephemeralOwner };
}

const CONTAINER = -(1n << 63n);

/** The owner field also marks containers (the lowest long) and TTL nodes (first byte 0xff), which no session owns. */
export function isEphemeral(stat: Stat): boolean {
  const owner = stat.ephemeralOwner;
  return owner !== 0n && owner !== CONTAINER && owner >> 56n !== -1n;
}

const nothing = (): null => null;

export function exists(path: string): ZkRequest<Stat> {
  return { name: `exists ${path}`, frame: sealed(requestFrame(OP.exists).ustring(path).bool(false)), read: readStat };
}

export interface DataAndStat {
  /** A view of the reply's frame. */
  readonly data: Uint8Array;
  readonly stat: Stat;
}

export const readDataAndStat = (r: JuteReader): DataAndStat => ({ data: r.buffer("a node's data"), stat: readStat(r) });

export function getData(path: string): ZkRequest<DataAndStat> {
  const frame = sealed(requestFrame(OP.getData).ustring(path).bool(false));
  return { name: `getData ${path}`, frame, read: readDataAndStat };
}

/** Names, in no order. */
export function getChildren(path: string): ZkRequest<string[]> {
  const frame = sealed(requestFrame(OP.getChildren).ustring(path).bool(false));
  return { name: `getChildren ${path}`, frame, read: (r) => r.vector("children", (c) => c.ustring("a child's name")) };
}

/** Answered when the server has caught up with what its leader had done when asked. */
export function sync(path: string): ZkRequest<null> {
  return { name: `sync ${path}`, frame: sealed(requestFrame(OP.sync).ustring(path)), read: nothing };
}

/** A persistent recursive watch: created, deleted and changed of the path and all below it. Again on the same path: no change. */
export function addWatch(path: string): ZkRequest<null> {
  const frame = sealed(requestFrame(OP.addWatch).ustring(path).int(1));
  return { name: `addWatch ${path}`, frame, read: nothing };
}

/** WatcherType 3, any: this session's watch of the path, of whatever kind. */
export function removeWatches(path: string): ZkRequest<null> {
  const frame = sealed(requestFrame(OP.removeWatches).ustring(path).int(3));
  return { name: `removeWatches ${path}`, frame, read: nothing };
}

export interface CreateOptions {
  readonly data: Uint8Array;
  readonly acl: readonly AclEntry[];
  readonly ephemeral: boolean;
}

/** ustring path | buffer data | vector of ACL {int perms, ustring scheme, ustring id} | int flags (1: ephemeral) */
export function writeCreate(w: JuteWriter, path: string, o: CreateOptions): JuteWriter {
  w.ustring(path).buffer(o.data).int(o.acl.length);
  for (const entry of o.acl) w.int(entry.permissions).ustring(entry.scheme).ustring(entry.id);
  return w.int(o.ephemeral ? 1 : 0);
}

export function create(path: string, o: CreateOptions): ZkRequest<null> {
  return { name: `create ${path}`, frame: sealed(writeCreate(requestFrame(OP.create), path, o)), read: nothing };
}
