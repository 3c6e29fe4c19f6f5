import { Fifo } from "#core/base";
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
  readonly fail: (reason: string) => void;
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
  private readonly queue = new Fifo<Waiting>();
  /** So many of the first have been told that it takes too long. */
  private told = 0;
  private lastXid = 0;

  get size(): number {
    return this.queue.size;
  }

  /** When the oldest that anybody waits for is overdue; null: none. */
  get deadlineMs(): number | null {
    return this.queue.at(this.told)?.deadlineMs ?? null;
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
    const waiting = this.queue.first;
    if (waiting === undefined) return `an answer with number ${xid}, though nothing was asked`;
    if (waiting.xid !== xid) return `an answer with number ${xid} where ${waiting.xid} (${waiting.name}) is due`;
    const accepted = waiting.accept(err, r);
    if (typeof accepted === "string") return accepted;
    this.queue.shift();
    if (this.told > 0) this.told--;
    return { run: waiting.abandoned ? NOTHING : accepted, breaks: waiting.breaks };
  }

  /** Those overdue; their places in the order stay taken. */
  overdue(nowMs: number): (() => void)[] {
    const late: (() => void)[] = [];
    for (let waiting = this.queue.at(this.told); waiting !== undefined; waiting = this.queue.at(this.told)) {
      if (waiting.deadlineMs > nowMs) break;
      const { name, fail } = waiting;
      waiting.abandoned = true;
      late.push(() => fail(`no answer to ${name} in time`));
      this.told++;
    }
    return late;
  }

  /** All that anybody still waits for; the order starts anew. */
  drop(reason: string): (() => void)[] {
    const left = this.queue.clear().filter((waiting) => !waiting.abandoned);
    this.told = 0;
    return left.map((waiting) => () => waiting.fail(reason));
  }
}
