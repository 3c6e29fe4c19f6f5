import type { JuteReader } from "./jute.ts";
import type { ZkRequest } from "./requests.ts";

/** Who made a request. Exactly one of the two is called, once. */
export interface Call<R> {
  /** `value` is null when `err` is not ERR.ok. */
  answered(err: number, value: R | null): void;
  /** No answer came. What was asked for may have been done, unless the request was never sent. */
  failed(reason: string): void;
  /** Nothing that came after the answer is to be seen before continuations of a promise resolved by it have run. */
  readonly breaks?: boolean;
}

interface Waiting {
  readonly xid: number;
  readonly name: string;
  readonly deadlineMs: number;
  readonly breaks: boolean;
  /** What to do with a reply; a text when it cannot be understood. */
  accept(err: number, r: JuteReader): (() => void) | string;
  fail(reason: string): void;
  /** Its caller has been told that it takes too long. */
  abandoned: boolean;
}

export interface Delivery {
  readonly run: () => void;
  readonly breaks: boolean;
}

const LARGEST_XID = 0x7fff_ffff;
const NOTHING = (): void => {};

/** Requests under way on one connection: answers come in the order of the requests. */
export class Calls {
  private queue: Waiting[] = [];
  private head = 0;
  /** Those before it have been told that it takes too long, or are answered. */
  private patient = 0;
  private lastXid = 0;

  get size(): number {
    return this.queue.length - this.head;
  }

  /** When the oldest that anybody waits for is overdue; null: none. */
  get deadlineMs(): number | null {
    return this.queue[Math.max(this.head, this.patient)]?.deadlineMs ?? null;
  }

  /** @returns the number that the request is to be sent with. */
  add<R>(request: ZkRequest<R>, call: Call<R>, deadlineMs: number): number {
    this.lastXid = this.lastXid === LARGEST_XID ? 1 : this.lastXid + 1;
    this.queue.push({
      xid: this.lastXid,
      name: request.name,
      deadlineMs,
      breaks: call.breaks ?? false,
      abandoned: false,
      accept: (err, r) => {
        if (err !== 0) return () => call.answered(err, null);
        const value = request.read(r);
        return r.failure === null ? () => call.answered(0, value) : `the answer to ${request.name}: ${r.failure}`;
      },
      fail: (reason) => call.failed(reason),
    });
    return this.lastXid;
  }

  /** A text: the reply is not the one that is due, or makes no sense. */
  reply(xid: number, err: number, r: JuteReader): Delivery | string {
    const waiting = this.queue[this.head];
    if (waiting === undefined) return `an answer with number ${xid}, though nothing was asked`;
    if (waiting.xid !== xid) return `an answer with number ${xid} where ${waiting.xid} (${waiting.name}) is due`;
    const accepted = waiting.accept(err, r);
    if (typeof accepted === "string") return accepted;
    this.head++;
    // Amortized: an array is not shifted element by element.
    if (this.head > 1024 && this.head * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.head);
      this.patient -= this.head;
      this.head = 0;
    }
    return { run: waiting.abandoned ? NOTHING : accepted, breaks: waiting.breaks };
  }

  /** Those overdue; their places in the order stay taken. */
  overdue(nowMs: number): (() => void)[] {
    const late: (() => void)[] = [];
    this.patient = Math.max(this.head, this.patient);
    for (; this.patient < this.queue.length; this.patient++) {
      const waiting = this.queue[this.patient] as Waiting;
      if (waiting.deadlineMs > nowMs) break;
      waiting.abandoned = true;
      late.push(() => waiting.fail(`no answer to ${waiting.name} in time`));
    }
    return late;
  }

  /** All that anybody still waits for; the order starts anew. */
  drop(reason: string): (() => void)[] {
    const left = this.queue.slice(this.head).filter((waiting) => !waiting.abandoned);
    this.queue = [];
    this.head = 0;
    this.patient = 0;
    return left.map((waiting) => () => waiting.fail(reason));
  }
}
