/**
 * A ZooKeeper session as a machine: what happens goes in (with the time), what is to be done comes out.
 *
 *     stopped ─start→ resolving → connecting → handshake → preparing → ready ─close→ closing → stopped
 *                        ↑            ↑            │            │         │
 *                        └── pausing ←┴── (next server) ←───────┴─────────┘
 *
 * T is the session timeout wished for, or what the server granted if that is less. (To be quicker than a server that grants
 * more does no harm, and its answer cannot put the machine to sleep.)
 *
 * - A ping goes out every T/3, whatever else is sent. Nothing complete heard for 2T/3: the connection is given up, and the
 *   remaining third is for finding another server.
 * - A server that is behind what the client has seen, or was wiped, closes the connection without a word; so does one that
 *   has no quorum yet. When the session has not been confirmed for 4T/3 and a server does that, it is asked for a new
 *   session. If it grants one it serves, and the old session is shown to it once more; refused again, the old one is lost.
 *   Until then a session is held on to: an ensemble that was away as a whole resumes its sessions, however long it was.
 */
import type { Call } from "./calls.ts";
import { MAX_REQUEST_BYTES } from "./codes.ts";
import type { Effect } from "./effects.ts";
import { Exchange, type Glance } from "./exchange.ts";
import { FrameSplitter } from "./frames.ts";
import { Liveness } from "./liveness.ts";
import {
  type ConnectResponse,
  type Credentials,
  decodeConnectResponse,
  encodeAuth,
  encodeConnectRequest,
  encodeSetWatches,
  type SessionIdentity,
} from "./messages.ts";
import type { ZkRequest } from "./requests.ts";
import { type ServerAddress, ServerOrder } from "./servers.ts";

export interface ZkSessionOptions {
  /** The timeout wished for; the server may grant another. */
  readonly timeoutMs: number;
  /** A request not answered for so long fails; default: never before the connection does. */
  readonly operationTimeoutMs?: number;
  /** A longer frame from the server is taken for nonsense. Default 64 MiB. */
  readonly maxFrameBytes?: number;
  readonly credentials: readonly Credentials[];
  /** Paths of recursive watches to be set again on a new connection; asked then. */
  readonly watchedPaths: () => Iterable<string>;
  /** Default: nothing is wanted. */
  readonly glance?: Glance;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export const DEFAULT_MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** A connection that stood so long was a good one: the pauses between rounds begin anew with the shortest. */
const STEADY_MS = 1000;
/** Shortest limit for one attempt to connect. */
const ATTEMPT_LEAST_MS = 250;
/** Shortest T that is reckoned with, whatever a server says. */
const TIMEOUT_LEAST_MS = 100;
/** How long the end of a session is waited for, at most. */
const CLOSE_MOST_MS = 2000;

type Phase = "stopped" | "resolving" | "connecting" | "handshake" | "preparing" | "ready" | "pausing" | "closing";

const OPEN: ReadonlySet<Phase> = new Set(["handshake", "preparing", "ready", "closing"]);

export class ZkSession {
  private readonly o: ZkSessionOptions;
  private readonly servers: ServerOrder;
  private readonly exchange: Exchange;
  private readonly liveness = new Liveness();
  private frames: FrameSplitter;
  private out: Effect[] = [];
  private phase: Phase = "stopped";
  private address: ServerAddress | null = null;
  private identity: SessionIdentity | null = null;
  private timeoutMs: number;
  private grantedMs: number;
  /** The attempt under way asks for a new session, though there is an old one. */
  private fresh = false;
  /** The server tried now has granted a new session since it refused the old one: it does serve. */
  private serves = false;
  /** The session is new since the last `ready`. */
  private begun = false;
  private readySinceMs = 0;
  /** When the phase must be over; of no meaning in `ready`. */
  private limitMs = 0;

  constructor(o: ZkSessionOptions) {
    this.o = o;
    this.timeoutMs = o.timeoutMs;
    this.grantedMs = o.timeoutMs;
    this.servers = new ServerOrder(o.random);
    this.exchange = new Exchange((effect) => this.tell(effect), o.glance);
    this.frames = this.newFrames();
  }

  /** Null: none yet, or lost. */
  get session(): SessionIdentity | null {
    return this.identity;
  }

  /** ms; before a server granted one, the one wished for. */
  get grantedTimeoutMs(): number {
    return this.grantedMs;
  }

  /** The last transaction seen. */
  get seenZxid(): bigint {
    return this.exchange.seenZxid;
  }

  /** When `tick` is to be called, unless something else happens first; null: not at all. Ask anew after each call. */
  get deadlineMs(): number | null {
    if (this.phase === "stopped") return null;
    if (this.phase !== "ready") return this.limitMs;
    return Math.min(this.liveness.deadlineMs, this.exchange.deadlineMs);
  }

  /** Begins to look for a server. From `stopped` only. */
  start(nowMs: number): readonly Effect[] {
    this.resolve(nowMs);
    return this.flush();
  }

  resolved(addresses: readonly ServerAddress[], nowMs: number): readonly Effect[] {
    if (this.phase === "resolving") {
      this.servers.resolved(addresses);
      if (addresses.length === 0) this.pause("no server name could be resolved", nowMs);
      else this.next("no server answers", nowMs);
    }
    return this.flush();
  }

  /** The connection is open, for plain text or TLS. */
  opened(): readonly Effect[] {
    if (this.phase === "connecting") {
      this.phase = "handshake";
      const [session, lastZxid] = this.fresh ? [null, 0n] : [this.identity, this.seenZxid];
      this.tell({ kind: "send", bytes: encodeConnectRequest({ lastZxid, timeoutMs: this.o.timeoutMs, session }) });
    }
    return this.flush();
  }

  received(bytes: Uint8Array, nowMs: number): readonly Effect[] {
    if (this.phase === "ready") this.look(nowMs);
    this.frames.push(bytes);
    while (OPEN.has(this.phase)) {
      const next = this.frames.next();
      if (next.kind === "more") break;
      const wrong = next.kind === "malformed" ? next.reason : this.frame(next.bytes, nowMs);
      if (wrong !== null) this.fail(`${this.where} made no sense: ${wrong}`, nowMs, true);
    }
    if (this.phase === "ready") this.exchange.seekBoundary(nowMs, this.limitOf(nowMs));
    return this.flush();
  }

  /** The connection could not be opened, or broke. */
  closed(reason: string, nowMs: number): readonly Effect[] {
    if (this.phase === "handshake") this.refused(reason, nowMs);
    else if (this.phase === "connecting" || OPEN.has(this.phase)) this.fail(reason, nowMs, false);
    return this.flush();
  }

  tick(nowMs: number): readonly Effect[] {
    if (this.phase === "ready") this.tickReady(nowMs);
    else if (this.phase !== "stopped" && nowMs >= this.limitMs) this.tickLimit(nowMs);
    return this.flush();
  }

  /** One of `call`'s methods is called by a `deliver` of this or a later call of the machine. */
  submit<R>(request: ZkRequest<R>, call: Call<R>, nowMs: number): readonly Effect[] {
    if (this.phase !== "ready") this.refuse(call, "there is no connection");
    // The server would break the connection, with everything that is under way on it.
    else if (request.frame.length - 4 > MAX_REQUEST_BYTES) this.refuse(call, `${request.name} is too long a request`);
    else this.exchange.submit(request, call, this.limitOf(nowMs));
    return this.flush();
  }

  /** Gives the connection up for a reason of the caller's; the session goes on, after a pause. */
  reset(reason: string, nowMs: number): readonly Effect[] {
    if (OPEN.has(this.phase) && this.phase !== "closing") {
      this.breakOff(reason, true);
      this.pause(reason, nowMs);
    }
    return this.flush();
  }

  /** Ends the session after what was submitted; when there is no connection, or with `leave`, leaves it to the server's clock. */
  close(nowMs: number, leave = false): readonly Effect[] {
    if (this.phase === "ready" && !leave) {
      this.phase = "closing";
      this.limitMs = nowMs + Math.min(this.timeoutMs / 3, CLOSE_MOST_MS);
      this.exchange.closeSession();
    } else if (this.phase !== "stopped" && this.phase !== "closing") this.end("the session is stopped", true);
    return this.flush();
  }

  private flush(): readonly Effect[] {
    const effects = this.out;
    this.out = [];
    return effects;
  }

  private tell(effect: Effect): void {
    this.out.push(effect);
  }

  /** Until when a request of this moment has to be answered. */
  private limitOf(nowMs: number): number {
    return nowMs + (this.o.operationTimeoutMs ?? Number.POSITIVE_INFINITY);
  }

  private refuse(call: Call<never>, reason: string): void {
    this.tell({ kind: "deliver", run: () => call.failed(reason), breaks: false });
  }

  private newFrames(): FrameSplitter {
    return new FrameSplitter(this.o.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES);
  }

  private get where(): string {
    return this.address === null ? "the server" : `${this.address.host}:${this.address.port}`;
  }

  // The search for a server.

  private resolve(nowMs: number): void {
    this.phase = "resolving";
    this.limitMs = nowMs + this.timeoutMs / 3;
    this.tell({ kind: "resolve" });
  }

  private next(reason: string, nowMs: number): void {
    const address = this.servers.next();
    this.serves = false;
    if (address === null) this.pause(reason, nowMs);
    else this.open(address, false, nowMs);
  }

  /**
   * The time for one attempt: what is left of T after silence was noticed is shared by the other servers. It grows with
   * each round, for servers that are slow rather than dead.
   */
  private open(address: ServerAddress, fresh: boolean, nowMs: number): void {
    this.phase = "connecting";
    this.address = address;
    this.fresh = fresh;
    this.frames = this.newFrames();
    const share = this.timeoutMs / 3 / Math.max(1, this.servers.count - 1);
    const grown = share * 2 ** Math.min(this.servers.failedRounds, 10);
    this.limitMs = nowMs + Math.max(ATTEMPT_LEAST_MS, Math.min(this.timeoutMs, grown));
    this.tell({ kind: "connect", address });
  }

  private pause(reason: string, nowMs: number): void {
    this.phase = "pausing";
    const pauseMs = this.servers.pauseMs();
    this.limitMs = nowMs + pauseMs;
    this.tell({ kind: "waiting", reason, pauseMs, rounds: this.servers.failedRounds });
  }

  private tickLimit(nowMs: number): void {
    if (this.phase === "pausing") this.resolve(nowMs);
    else if (this.phase === "resolving") this.pause("the server names are not resolved in time", nowMs);
    else this.fail(`no answer from ${this.where} in time`, nowMs, true);
  }

  /** A server closed the connection instead of answering the handshake: it may not like the session, or not serve at all. */
  private refused(reason: string, nowMs: number): void {
    const had = this.identity !== null || this.seenZxid > 0n;
    if (had && !this.fresh && this.liveness.isDoubtful(nowMs)) this.open(this.address as ServerAddress, true, nowMs);
    else this.fail(`${this.where} refused the session: ${reason}`, nowMs, false);
  }

  /** The connection, or the attempt, is over; `drop`: it is to be closed. */
  private fail(reason: string, nowMs: number, drop: boolean): void {
    if (this.phase === "closing") return this.end(reason, drop);
    const wasReady = this.phase === "ready";
    this.breakOff(reason, drop);
    if (!wasReady || this.address === null) return this.next(reason, nowMs);
    this.servers.lost(this.address);
    if (this.stoodLong(nowMs)) this.next(reason, nowMs);
    // One that breaks again and again as soon as it stands must not be made anew in a tight loop.
    else this.pause(reason, nowMs);
  }

  private breakOff(reason: string, drop: boolean): void {
    if (drop) this.tell({ kind: "drop" });
    this.exchange.drop(reason);
    if (this.phase === "ready") this.tell({ kind: "disconnected", reason });
  }

  private end(reason: string, drop: boolean): void {
    this.breakOff(reason, drop);
    this.phase = "stopped";
    this.identity = null;
    this.tell({ kind: "ended" });
  }

  // A connection.

  /** Null, or what is wrong with the frame. */
  private frame(bytes: Uint8Array, nowMs: number): string | null {
    if (this.phase === "handshake") {
      const response = decodeConnectResponse(bytes);
      return "malformed" in response ? response.malformed : this.greeted(response, nowMs);
    }
    const heard = this.exchange.frame(bytes);
    if (typeof heard === "string") return heard;
    this.liveness.heard(nowMs);
    if (heard.kind === "prepared" && this.phase === "preparing") this.becomeReady(nowMs);
    else if (heard.kind === "closed") this.end("the session is stopped", true);
    return null;
  }

  private greeted(response: ConnectResponse, nowMs: number): string | null {
    const asked = this.fresh ? null : this.identity;
    if (response.timeoutMs <= 0 || response.session.id === 0n) {
      if (asked === null) return "no session in the answer to the handshake";
      // A new one, with what was seen kept: a server behind it would show the past.
      this.tell({ kind: "drop" });
      this.lose("the server says that it is expired");
      this.open(this.address as ServerAddress, false, nowMs);
      return null;
    }
    if (response.readOnly) return "it is parted from its ensemble (read-only)";
    if (this.fresh && !this.serves) {
      // That session is left to expire.
      this.serves = true;
      this.tell({ kind: "drop" });
      this.open(this.address as ServerAddress, false, nowMs);
      return null;
    }
    if (this.fresh) {
      // The server that refused the old session granted a new one: it never heard of the old, nor of what we have seen.
      this.lose("no server knows it any more");
      this.exchange.forgetZxid();
    } else if (asked !== null && asked.id !== response.session.id) this.lose("the server handed out another session");
    this.begun ||= this.identity === null;
    this.identity = response.session;
    this.grantedMs = response.timeoutMs;
    this.timeoutMs = Math.max(TIMEOUT_LEAST_MS, Math.min(this.o.timeoutMs, response.timeoutMs));
    this.liveness.begin(this.timeoutMs, nowMs);
    this.phase = "preparing";
    const frames = this.o.credentials.map(encodeAuth);
    frames.push(...encodeSetWatches(this.o.watchedPaths(), this.seenZxid));
    if (!this.exchange.prepare(frames)) this.becomeReady(nowMs);
    return null;
  }

  private lose(reason: string): void {
    if (this.identity !== null) this.tell({ kind: "lost", reason });
    this.identity = null;
  }

  private becomeReady(nowMs: number): void {
    this.phase = "ready";
    this.readySinceMs = nowMs;
    this.serves = false;
    this.liveness.begin(this.timeoutMs, nowMs);
    this.tell({ kind: "ready", newSession: this.begun, address: this.address as ServerAddress });
    this.begun = false;
  }

  private stoodLong(nowMs: number): boolean {
    const long = nowMs - this.readySinceMs >= STEADY_MS;
    if (long) this.servers.stood();
    return long;
  }

  private look(nowMs: number): void {
    const forMs = this.liveness.look(nowMs);
    if (forMs !== null) this.tell({ kind: "blocked", forMs });
  }

  private tickReady(nowMs: number): void {
    this.look(nowMs);
    if (this.liveness.isSilent(nowMs)) {
      const silentMs = Math.round(this.liveness.silentMs(nowMs));
      this.fail(`nothing heard from ${this.where} for ${silentMs} ms`, nowMs, true);
      return;
    }
    this.stoodLong(nowMs);
    if (this.liveness.takePing(nowMs)) this.exchange.ping();
    this.exchange.seekLate(nowMs);
    this.exchange.failOverdue(nowMs);
  }
}
