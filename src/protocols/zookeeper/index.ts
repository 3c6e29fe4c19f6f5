/**
 * ZooKeeper's client protocol (Apache ZooKeeper 3.6 and later), without any I/O.
 *
 *     jute.ts, utf8.ts  fields          frames.ts    the byte stream          codes.ts    numbers
 *     messages.ts       the session's   requests.ts  ordinary requests        multi.ts    several in one
 *     calls.ts          who waits       exchange.ts  one connection           servers.ts  which server is next
 *     liveness.ts       clocks          session.ts   the machine              effects.ts  its output
 */
export { type Glance, NO_HURRY_MS } from "./exchange.ts";
export type { Call } from "./calls.ts";
export { ERR, errName, EVENT, MAX_REQUEST_BYTES, OP, PERM_ALL, XID } from "./codes.ts";
export type { Effect, SessionNews, TransportEffect } from "./effects.ts";
export { type FrameResult, FrameSplitter } from "./frames.ts";
export { JuteReader, JuteWriter } from "./jute.ts";
export {
  type ConnectRequest,
  type ConnectResponse,
  type Credentials,
  decodeConnectRequest,
  decodeConnectResponse,
  encodeCloseSession,
  encodeConnectRequest,
  encodeSetWatches,
  type Notification,
  readNotification,
  type SessionIdentity,
} from "./messages.ts";
export { firstBeyond, multi, type MultiFailure, type MultiOp, multiRead, multiReadBytes } from "./multi.ts";
export {
  ACL_CREATOR,
  ACL_OPEN,
  type AclEntry,
  addWatch,
  create,
  type CreateOptions,
  type DataAndStat,
  exists,
  getChildren,
  getData,
  isEphemeral,
  removeWatches,
  type Stat,
  sync,
  type ZkRequest,
} from "./requests.ts";
export { PAUSE_FIRST_MS, PAUSE_MOST_MS, type ServerAddress, ServerOrder } from "./servers.ts";
export { DEFAULT_MAX_FRAME_BYTES, ZkSession, type ZkSessionOptions } from "./session.ts";
export { utf8Bytes, utf8Text } from "./utf8.ts";
