import type { Cancel, Clock, Scheduler } from "#core/base";
import type { Ipv4, Mac } from "#core/packets";

/** RFC 1122 §2.3.2.1 wants stale entries gone; Linux confirms after about half a minute. */
const FRESH_MS = 30_000;
/** Linux asks three times, a second apart, and then reports the host unreachable. */
const TRIES = 3;
const RETRY_MS = 1_000;
/** Frames that may wait for one address; RFC 1122 §2.3.2.2 wants at least the latest. */
const QUEUE_MAX = 64;

interface Asking {
  readonly waiting: { readonly send: (mac: Mac) => void; readonly failed: () => void }[];
  tries: number;
  timer: Cancel;
}

/** A VM's ARP cache, and what waits for an answer. Asks through `ask`, which sends one request. */
export class Neighbours {
  private readonly clock: Clock;
  private readonly scheduler: Scheduler;
  private readonly ask: (ip: Ipv4) => void;
  private readonly known = new Map<Ipv4, { mac: Mac; untilMs: number }>();
  private readonly asking = new Map<Ipv4, Asking>();

  constructor(clock: Clock, scheduler: Scheduler, ask: (ip: Ipv4) => void) {
    this.clock = clock;
    this.scheduler = scheduler;
    this.ask = ask;
  }

  get(ip: Ipv4): Mac | null {
    const entry = this.known.get(ip);
    return entry !== undefined && entry.untilMs > this.clock.monotonicMs() ? entry.mac : null;
  }

  /** Calls `send` with the MAC, now or when it is known; `failed` when nobody answers or too much waits already. */
  resolve(ip: Ipv4, send: (mac: Mac) => void, failed: () => void): void {
    const mac = this.get(ip);
    if (mac !== null) {
      send(mac);
      return;
    }
    const asking = this.asking.get(ip);
    if (asking === undefined) {
      const begun: Asking = { waiting: [{ send, failed }], tries: 1, timer: this.retryLater(ip) };
      this.asking.set(ip, begun);
      this.ask(ip);
    } else if (asking.waiting.length < QUEUE_MAX) asking.waiting.push({ send, failed });
    else failed();
  }

  /** RFC 826: an answer is always taken; what a request tells of its sender only when it was for us or is known already. */
  learn(ip: Ipv4, mac: Mac, forUs: boolean): void {
    if (!forUs && !this.known.has(ip) && !this.asking.has(ip)) return;
    this.known.set(ip, { mac, untilMs: this.clock.monotonicMs() + FRESH_MS });
    const asking = this.asking.get(ip);
    if (asking === undefined) return;
    this.asking.delete(ip);
    asking.timer.cancel();
    for (const { send } of asking.waiting) send(mac);
  }

  /** Forgets everything; what waits fails. */
  clear(): void {
    this.known.clear();
    for (const ip of this.asking.keys()) this.giveUp(ip);
  }

  private retryLater(ip: Ipv4): Cancel {
    return this.scheduler.after(RETRY_MS, () => {
      const asking = this.asking.get(ip);
      if (asking === undefined) return;
      if (asking.tries >= TRIES) {
        this.giveUp(ip);
        return;
      }
      asking.tries++;
      asking.timer = this.retryLater(ip);
      this.ask(ip);
    });
  }

  private giveUp(ip: Ipv4): void {
    const asking = this.asking.get(ip);
    this.asking.delete(ip);
    asking?.timer.cancel();
    for (const { failed } of asking?.waiting ?? []) failed();
  }
}
