/** Everything that is not an ordinary request: the handshake, headers, notifications, pings, credentials, restored watches. */
import { OP, XID } from "./codes.ts";
import { JuteReader, JuteWriter } from "./jute.ts";

/** What makes a session ours again after a reconnection. */
export interface SessionIdentity {
  readonly id: bigint;
  readonly password: Uint8Array;
}

export interface ConnectRequest {
  /** The last state of the tree that this client has seen: a server behind it refuses. */
  readonly lastZxid: bigint;
  readonly timeoutMs: number;
  /** Null: a new session is wanted. */
  readonly session: SessionIdentity | null;
}

const NO_PASSWORD = new Uint8Array(16);

/**
 *     int protocolVersion | long lastZxidSeen | int timeOut | long sessionId | buffer passwd | boolean readOnly
 *
 * Read-only servers (parted from their quorum) are not accepted.
 */
export function encodeConnectRequest(r: ConnectRequest): Uint8Array {
  const w = new JuteWriter().int(0).int(0).long(r.lastZxid).int(r.timeoutMs);
  w.long(r.session?.id ?? 0n).buffer(r.session?.password ?? NO_PASSWORD);
  return sealed(w.bool(false));
}

/** For servers in tests. Null: malformed. `frame` is without its length. */
export function decodeConnectRequest(frame: Uint8Array): ConnectRequest | null {
  const r = new JuteReader(frame);
  r.int("the protocol version");
  const lastZxid = r.long("the last zxid");
  const timeoutMs = r.int("the timeout");
  const id = r.long("the session id");
  const password = r.buffer("the password").slice();
  return r.failure === null ? { lastZxid, timeoutMs, session: id === 0n ? null : { id, password } } : null;
}

export interface ConnectResponse {
  /** 0: the session asked for is expired. */
  readonly timeoutMs: number;
  readonly session: SessionIdentity;
  readonly readOnly: boolean;
}

/** int protocolVersion | int timeOut | long sessionId | buffer passwd | boolean readOnly (absent before 3.4) */
export function decodeConnectResponse(frame: Uint8Array): ConnectResponse | { readonly malformed: string } {
  const r = new JuteReader(frame);
  r.int("the protocol version");
  const timeoutMs = r.int("the timeout");
  const id = r.long("the session id");
  // Kept for the life of the session: a copy, not a view that keeps a whole chunk alive.
  const password = r.buffer("the password").slice();
  const readOnly = r.remaining > 0 && r.bool("the read-only mark");
  if (r.failure !== null) return { malformed: r.failure };
  return { timeoutMs, session: { id, password }, readOnly };
}

/** int xid | long zxid | int err */
export interface ReplyHeader {
  readonly xid: number;
  /** The last transaction the server has seen; of no meaning in notifications. */
  readonly zxid: bigint;
  readonly err: number;
}

export function readReplyHeader(r: JuteReader): ReplyHeader {
  return { xid: r.int("the request number"), zxid: r.long("the zxid"), err: r.int("the error code") };
}

/** int type | int state | ustring path */
export interface Notification {
  /** One of EVENT, or what a newer server knows. */
  readonly type: number;
  readonly path: string;
}

export function readNotification(r: JuteReader): Notification {
  const type = r.int("the type of a notification");
  r.int("the state in a notification");
  return { type, path: r.ustring("the path of a notification") };
}

/** A frame of a call, its number to be filled in by `numbered`. */
export function requestFrame(op: number): JuteWriter {
  return new JuteWriter().int(0).int(0).int(op);
}

/** Fills in the length. */
export function sealed(w: JuteWriter): Uint8Array {
  const frame = w.finish();
  new DataView(frame.buffer).setInt32(0, frame.length - 4);
  return frame;
}

/** Fills in the request number. */
export function numbered(frame: Uint8Array, xid: number): Uint8Array {
  new DataView(frame.buffer, frame.byteOffset).setInt32(4, xid);
  return frame;
}

export const encodePing = (): Uint8Array => numbered(sealed(requestFrame(OP.ping)), XID.ping);

export const encodeCloseSession = (xid: number): Uint8Array => numbered(sealed(requestFrame(OP.closeSession)), xid);

export interface Credentials {
  /** "digest", for `user:password`. */
  readonly scheme: string;
  readonly secret: Uint8Array;
}

/** int type (unused) | ustring scheme | buffer auth */
export function encodeAuth(c: Credentials): Uint8Array {
  return numbered(sealed(requestFrame(OP.auth).int(0).ustring(c.scheme).buffer(c.secret)), XID.auth);
}

/** Most bytes of paths in one SetWatches: the server refuses a frame of 1 MiB, and thousands of watches can be longer. */
const WATCHES_BATCH_BYTES = 128 * 1024;

/**
 * SetWatches2: long relativeZxid | data | exist | child | persistent | persistent-recursive watches (ustring vectors).
 * Only the last kind is ever set by this client (see requests.ts), and the server replays nothing for it.
 */
export function encodeSetWatches(paths: Iterable<string>, lastZxid: bigint): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let batch: string[] = [];
  let bytes = 0;
  const flush = (): void => {
    const w = requestFrame(OP.setWatches2).long(lastZxid).int(0).int(0).int(0).int(0).ustrings(batch);
    frames.push(numbered(sealed(w), XID.setWatches));
    batch = [];
    bytes = 0;
  };
  for (const path of paths) {
    const size = 4 + path.length * 3;
    if (batch.length > 0 && bytes + size > WATCHES_BATCH_BYTES) flush();
    batch.push(path);
    bytes += size;
  }
  if (batch.length > 0) flush();
  return frames;
}
