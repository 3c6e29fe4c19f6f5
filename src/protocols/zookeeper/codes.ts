/** Numbers of the protocol: ZooDefs.OpCode, KeeperException.Code, Watcher.Event.EventType of Apache ZooKeeper 3.8. */

export const OP = {
  create: 1,
  delete: 2,
  exists: 3,
  getData: 4,
  setData: 5,
  getChildren: 8,
  sync: 9,
  ping: 11,
  check: 13,
  multi: 14,
  removeWatches: 18,
  multiRead: 22,
  auth: 100,
  setWatches2: 105,
  addWatch: 106,
  closeSession: -11,
  /** In the result of a multi: the operation failed. */
  error: -1,
} as const;

/** Request numbers with a meaning of their own. Calls have positive ones. */
export const XID = { notification: -1, ping: -2, auth: -4, setWatches: -8 } as const;

export const ERR = {
  ok: 0,
  /** Of an operation behind the one that made a multi fail. */
  runtimeInconsistency: -2,
  connectionLoss: -4,
  unimplemented: -6,
  operationTimeout: -7,
  badArguments: -8,
  unknownSession: -12,
  noNode: -101,
  noAuth: -102,
  badVersion: -103,
  noChildrenForEphemerals: -108,
  nodeExists: -110,
  notEmpty: -111,
  sessionExpired: -112,
  invalidAcl: -114,
  authFailed: -115,
  sessionMoved: -118,
  notReadOnly: -119,
  noWatcher: -121,
  quotaExceeded: -125,
  throttled: -127,
} as const;

const ERR_NAMES = new Map<number, string>(Object.entries(ERR).map(([name, code]) => [code, name]));

/** `noAuth (-102)`, or the bare number when it is not known here. */
export function errName(code: number): string {
  const name = ERR_NAMES.get(code);
  return name === undefined ? `error ${code}` : `${name} (${code})`;
}

/** What a notification says happened to its path. The others (children changed, session states) are not asked for. */
export const EVENT = { none: -1, created: 1, deleted: 2, changed: 3, childrenChanged: 4 } as const;

/** The whole permission of an ACL entry: read, write, create, delete, admin. */
export const PERM_ALL = 31;

/** The server's default `jute.maxbuffer`: it breaks the connection at a longer request. Of the frame without its length. */
export const MAX_REQUEST_BYTES = 0xf_ffff;
