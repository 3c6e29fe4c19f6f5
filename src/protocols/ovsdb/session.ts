import { JsonTexts } from "./framing.ts";
import { decodeRpc, describeError, encodeReply, encodeRequest, type RpcMessage } from "./json-rpc.ts";
import { field, isObject, Malformed, preview } from "./malformed.ts";
import { decodeTransaction, type Operation, type TransactionResult } from "./operations.ts";
import { Replica, type TableRows, type Tables } from "./replica.ts";

export interface SessionOptions<T extends Tables> {
  /** Name of the database: "Open_vSwitch". */
  readonly database: string;
  /** What is monitored. */
  readonly tables: T;
  /** After this long without a byte the server is asked for an echo; after as long again it counts as gone. Default 5000. */
  readonly probeMs?: number;
  /** A request that is not answered in this time ends the session. Default 15 000. */
  readonly requestMs?: number;
  readonly maxTextBytes?: number;
}

export type SessionEffect =
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  /** The replica holds the whole contents for the first time. */
  | { readonly kind: "ready" }
  /** The replica has changed. */
  | { readonly kind: "changed" }
  /** Whether the lock that was asked for is held by this connection. */
  | { readonly kind: "lock"; readonly held: boolean }
  | { readonly kind: "transacted"; readonly ticket: number; readonly result: TransactionResult }
  /** The session has ended: close the connection. Transactions without a result may or may not have been done. */
  | { readonly kind: "ended"; readonly reason: string };

interface Waiting {
  readonly method: "monitor" | "transact" | "lock" | "echo";
  readonly operations: readonly Operation[];
  readonly dueMs: number;
}

const MONITOR_ID = "midotrace";

/**
 * One connection to an OVSDB server (RFC 7047 §4): monitors, then transacts. Time is handed in (monotonic, ms); each
 * method says what is to be done. After `ended` nothing happens any more.
 */
export class OvsdbSession<T extends Tables> {
  private readonly options: SessionOptions<T>;
  private readonly texts: JsonTexts;
  private readonly replica: Replica<T>;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;
  private heardMs = 0;
  private probedMs: number | null = null;
  private state: "new" | "loading" | "ready" | "ended" = "new";

  constructor(options: SessionOptions<T>) {
    this.options = options;
    this.texts = new JsonTexts(options.maxTextBytes);
    this.replica = new Replica(options.tables);
  }

  /** Empty before `ready`. */
  get rows(): TableRows<T> {
    return this.replica.rows;
  }

  get isReady(): boolean {
    return this.state === "ready";
  }

  /** The connection is there. */
  open(nowMs: number): SessionEffect[] {
    if (this.state !== "new") return [];
    this.state = "loading";
    this.heardMs = nowMs;
    return [this.request("monitor", [this.options.database, MONITOR_ID, this.replica.request], [], nowMs)];
  }

  /** The result comes as `transacted` with the returned ticket, unless the session ends before. */
  transact(operations: readonly Operation[], nowMs: number): { ticket: number; effects: SessionEffect[] } {
    const ticket = this.nextId;
    if (this.state !== "ready") return { ticket, effects: [] };
    return { ticket, effects: [this.request("transact", [this.options.database, ...operations], operations, nowMs)] };
  }

  /**
   * Asks for a lock of the server, which one connection at a time holds until it ends (RFC 7047 §4.1.8). Each `lock` that
   * comes says how it stands; who does not hold it waits in line.
   *
   * @param name letters, digits and underscores, no digit first.
   */
  lock(name: string, nowMs: number): SessionEffect[] {
    return this.state === "ready" ? [this.request("lock", [name], [], nowMs)] : [];
  }

  receive(bytes: Uint8Array, nowMs: number): SessionEffect[] {
    if (this.state === "ended") return [];
    this.heardMs = nowMs;
    this.probedMs = null;
    const effects: SessionEffect[] = [];
    for (const text of this.texts.push(bytes)) {
      const message = text instanceof Malformed ? text : decodeRpc(text);
      const trouble = message instanceof Malformed ? message : this.handle(message, effects);
      if (trouble instanceof Malformed) return [...effects, this.end(trouble.reason)];
    }
    return effects;
  }

  /** Call every second or so. */
  tick(nowMs: number): SessionEffect[] {
    if (this.state === "ended" || this.state === "new") return [];
    for (const { method, dueMs } of this.waiting.values())
      if (method !== "echo" && nowMs >= dueMs) return [this.end(`no answer to ${method}`)];
    const probeMs = this.options.probeMs ?? 5000;
    if (this.probedMs === null) {
      if (nowMs - this.heardMs < probeMs) return [];
      this.probedMs = nowMs;
      return [this.request("echo", [], [], nowMs)];
    }
    return nowMs - this.probedMs < probeMs ? [] : [this.end("no sign of life")];
  }

  private handle(message: RpcMessage, effects: SessionEffect[]): Malformed | null {
    switch (message.kind) {
      case "reply":
        return this.reply(message, effects);
      case "request": {
        if (message.method !== "echo") return new Malformed(`an unexpected request ${preview(message.method)}`);
        const bytes = encodeReply(message.id, message.params);
        if (bytes instanceof Malformed) return bytes;
        effects.push({ kind: "send", bytes });
        return null;
      }
      case "notification": {
        if (message.method === "locked" || message.method === "stolen") {
          effects.push({ kind: "lock", held: message.method === "locked" });
          return null;
        }
        if (message.method !== "update") return new Malformed(`an unexpected notification ${preview(message.method)}`);
        const [monitor, updates] = message.params;
        if (monitor !== MONITOR_ID) return new Malformed(`an update of an unknown monitor ${preview(monitor)}`);
        if (this.state !== "ready") return new Malformed("an update before the first contents");
        const trouble = this.replica.apply(updates);
        if (trouble === null) effects.push({ kind: "changed" });
        return trouble;
      }
    }
  }

  private reply(message: Extract<RpcMessage, { kind: "reply" }>, effects: SessionEffect[]): Malformed | null {
    const id = message.id;
    const waiting = typeof id === "number" ? this.waiting.get(id) : undefined;
    if (waiting === undefined) return new Malformed(`a reply to ${preview(id)}, which was not asked`);
    this.waiting.delete(id as number);
    if (message.error !== null) return new Malformed(`${waiting.method} was refused: ${describeError(message.error)}`);
    switch (waiting.method) {
      case "echo":
        return null;
      case "lock": {
        const held = isObject(message.result) ? field(message.result, "locked") : undefined;
        if (typeof held !== "boolean") return new Malformed(`an answer to lock of ${preview(message.result)}`);
        effects.push({ kind: "lock", held });
        return null;
      }
      case "monitor": {
        const trouble = this.replica.apply(message.result);
        if (trouble !== null) return trouble;
        this.state = "ready";
        effects.push({ kind: "ready" });
        return null;
      }
      case "transact": {
        const result = decodeTransaction(message.result, waiting.operations);
        if (result instanceof Malformed) return result;
        effects.push({ kind: "transacted", ticket: id as number, result });
        return null;
      }
    }
  }

  private request(
    method: Waiting["method"],
    params: readonly unknown[],
    operations: readonly Operation[],
    nowMs: number,
  ): SessionEffect {
    const id = this.nextId++;
    this.waiting.set(id, { method, operations, dueMs: nowMs + (this.options.requestMs ?? 15_000) });
    return { kind: "send", bytes: encodeRequest(id, method, params) };
  }

  private end(reason: string): SessionEffect {
    this.state = "ended";
    this.waiting.clear();
    return { kind: "ended", reason };
  }
}
