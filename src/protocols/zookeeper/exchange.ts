/**
 * What is said on one connection after the handshake: answers in the order of the requests, and notifications in between.
 *
 * Only whole transactions are told. The server sends one notification for each change and does not say where a transaction
 * ends (in 3.8 they have no zxid). But it executes one thing at a time (FinalRequestProcessor behind CommitProcessor, which
 * waits for reads under way before a write and for the write before reads), so whatever it answers, it answers between two
 * transactions: any answer to a request or ping marks an end. When none is due, one is asked for; that costs a round trip,
 * and what came meanwhile is told with it. Whoever listens can have it spent on a read of what the notifications are about
 * (`Glance`), or leave it for a while when nobody is in a hurry; else it is a ping. Answers to credentials are no such mark,
 * as they skip the line.
 */
import { Calls, type Call } from "./calls.ts";
import { ERR, errName, EVENT, XID } from "./codes.ts";
import type { Effect } from "./effects.ts";
import { JuteReader } from "./jute.ts";
import {
  encodeCloseSession,
  encodePing,
  type Notification,
  numbered,
  readNotification,
  readReplyHeader,
} from "./messages.ts";
import { multiRead } from "./multi.ts";
import type { DataAndStat, ZkRequest } from "./requests.ts";

/** What a frame was, where the session must know; a text: it makes no sense. */
export type Heard = { readonly kind: "news" | "prepared" | "closed" } | string;

/** Which paths are wanted, of what was notified so far; none: a ping does. Null: there is no hurry to hear of it. */
export type Glance = (pending: readonly Notification[]) => readonly string[] | null;

/** So long a boundary is waited for when there is no hurry, ms; what comes by then may want to be read, or bring one along. */
export const NO_HURRY_MS = 50;

const NEWS: Heard = { kind: "news" };
const CLOSE_REQUEST: ZkRequest<null> = { name: "closeSession", frame: new Uint8Array(0), read: () => null };
const NO_NODES: ReadonlyMap<string, DataAndStat | null> = new Map();
const NOBODY: Call<null> = { answered: () => {}, failed: () => {} };

export class Exchange {
  private readonly out: (effect: Effect) => void;
  private readonly glance: Glance;
  private readonly calls = new Calls();
  private notifications: Notification[] = [];
  private glanceXid: number | null = null;
  /** When a boundary is to be asked for that there was no hurry for. */
  private boundaryMs: number | null = null;
  /** What the glance has found, to be told with the notifications before it. */
  private nodes = NO_NODES;
  private pingsDue = 0;
  /** Answers due to credentials and restored watches. */
  private setupsDue = 0;
  private closeXid: number | null = null;
  private zxid = 0n;

  constructor(out: (effect: Effect) => void, glance: Glance = () => []) {
    this.out = out;
    this.glance = glance;
  }

  /** The last transaction seen. From answers only: notifications may run ahead of the reads that they are about. */
  get seenZxid(): bigint {
    return this.zxid;
  }

  /** When the next request is overdue, or a boundary is to be asked for; infinite: never. */
  get deadlineMs(): number {
    return Math.min(this.calls.deadlineMs ?? Number.POSITIVE_INFINITY, this.boundaryMs ?? Number.POSITIVE_INFINITY);
  }

  forgetZxid(): void {
    this.zxid = 0n;
  }

  /** Sends what must be answered before the connection is ready. @returns whether there is anything. */
  prepare(frames: readonly Uint8Array[]): boolean {
    for (const frame of frames) this.send(frame);
    this.setupsDue = frames.length;
    return frames.length > 0;
  }

  submit<R>(request: ZkRequest<R>, call: Call<R>, deadlineMs: number): void {
    this.send(numbered(request.frame, this.calls.add(request, call, deadlineMs)));
  }

  ping(): void {
    this.pingsDue++;
    this.send(encodePing());
  }

  closeSession(): void {
    this.closeXid = this.calls.add(CLOSE_REQUEST, NOBODY, Number.POSITIVE_INFINITY);
    this.send(encodeCloseSession(this.closeXid));
  }

  /**
   * Sees to it that an answer is due, or will be, when there are notifications that none has marked as whole yet.
   * @param deadlineMs for the answer.
   */
  seekBoundary(nowMs: number, deadlineMs: number): void {
    if (this.notifications.length === 0 || this.calls.size + this.pingsDue > 0) return;
    const paths = this.glance(this.notifications);
    if (paths === null) {
      this.boundaryMs ??= nowMs + NO_HURRY_MS;
      return;
    }
    if (paths.length === 0) return this.ping();
    const request = multiRead(paths);
    const answered = (_err: number, found: readonly (DataAndStat | number)[] | null): void => {
      if (found !== null) this.nodes = byPath(paths, found);
    };
    this.glanceXid = this.calls.add(request, { answered, failed: () => {} }, deadlineMs);
    this.send(numbered(request.frame, this.glanceXid));
  }

  frame(bytes: Uint8Array): Heard {
    const r = new JuteReader(bytes);
    const { xid, zxid, err } = readReplyHeader(r);
    if (r.failure !== null) return r.failure;
    if (xid === XID.notification) return this.notified(r);
    if (zxid > this.zxid) this.zxid = zxid;
    switch (xid) {
      case XID.ping:
        if (this.pingsDue === 0) return "an answer to a ping that was not sent";
        this.pingsDue--;
        this.boundary();
        return NEWS;
      case XID.auth:
      case XID.setWatches:
        return this.prepared(xid, err);
      default:
        return this.answered(xid, err, r);
    }
  }

  /** Asks for the boundary that there was no hurry for, if it is time. */
  seekLate(nowMs: number): void {
    if (this.boundaryMs === null || nowMs < this.boundaryMs) return;
    this.boundaryMs = null;
    if (this.calls.size + this.pingsDue === 0) this.ping();
  }

  /** The requests that have waited too long fail; the order goes on. */
  failOverdue(nowMs: number): void {
    for (const run of this.calls.overdue(nowMs)) this.out({ kind: "deliver", run, breaks: false });
  }

  /** The connection is over. */
  drop(reason: string): void {
    this.notifications = [];
    this.nodes = NO_NODES;
    this.glanceXid = null;
    this.boundaryMs = null;
    this.pingsDue = 0;
    this.setupsDue = 0;
    this.closeXid = null;
    for (const run of this.calls.drop(reason)) this.out({ kind: "deliver", run, breaks: false });
  }

  private send(bytes: Uint8Array): void {
    this.out({ kind: "send", bytes });
  }

  private answered(xid: number, err: number, r: JuteReader): Heard {
    const delivery = this.calls.reply(xid, err, r);
    if (typeof delivery === "string") return delivery;
    if (xid === this.glanceXid) {
      this.glanceXid = null;
      delivery.run();
      this.boundary();
      return NEWS;
    }
    this.boundary();
    this.out({ kind: "deliver", ...delivery });
    return xid === this.closeXid ? { kind: "closed" } : NEWS;
  }

  private notified(r: JuteReader): Heard {
    const notification = readNotification(r);
    if (r.failure !== null) return r.failure;
    const { type } = notification;
    if (type === EVENT.created || type === EVENT.deleted || type === EVENT.changed) {
      this.notifications.push(notification);
      return NEWS;
    }
    // Said to one-shot watches, and of the session itself: nothing that is not known from elsewhere.
    if (type === EVENT.childrenChanged || type === EVENT.none) return NEWS;
    // A watch that the server took away, or something unknown: only a new connection, and reading again, makes it good.
    return `a notification of type ${type}`;
  }

  private boundary(): void {
    const { notifications: list, nodes } = this;
    if (list.length === 0) return;
    this.notifications = [];
    this.nodes = NO_NODES;
    this.boundaryMs = null;
    this.out({ kind: "notifications", list, nodes });
  }

  private prepared(xid: number, err: number): Heard {
    const what = xid === XID.auth ? "credentials" : "watches";
    if (this.setupsDue === 0) return `an answer to ${what} that were not sent`;
    if (err !== ERR.ok) return `the ${what} were refused: ${errName(err)}`;
    this.setupsDue--;
    return this.setupsDue === 0 ? { kind: "prepared" } : NEWS;
  }
}

function byPath(paths: readonly string[], found: readonly (DataAndStat | number)[]): Map<string, DataAndStat | null> {
  const nodes = new Map<string, DataAndStat | null>();
  for (const [i, path] of paths.entries()) {
    const one = found[i];
    if (typeof one === "object") nodes.set(path, one);
    else if (one === ERR.noNode) nodes.set(path, null);
  }
  return nodes;
}
