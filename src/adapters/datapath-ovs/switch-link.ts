import type { Cancel, Clock, Random, Scheduler } from "#core/base";
import {
  ALL_FLOWS,
  type ErrorMessage,
  type FlowRecord,
  OFPT,
  type PacketInMessage,
  type SessionHandler,
} from "#protocols/openflow";
import { Connection, type SwitchAddress } from "./connection.ts";
import { FoundFlows } from "./found-flows.ts";
import type { Log } from "./log.ts";
import { writeProgram } from "./program.ts";

/** What the switch says while there is a link, and when there is one. Records and bytes are valid during the call only. */
export interface LinkHandler {
  packetIn(message: PacketInMessage, bytes: Uint8Array): void;
  flowRemoved(record: FlowRecord): void;
  /** Halves of the cookie of a FLOW_MOD that was refused; null: it was another message. */
  refused(text: string, cookie: { readonly high: number; readonly low: number } | null): void;
  /** The switch runs the program and takes changes; `found` is what it had before. */
  attached(found: FoundFlows): void;
  detached(): void;
}

export interface LinkParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly log: Log;
  readonly handler: LinkHandler;
  /** Connections for changes of entries, beside the one for packets; 0: all on one. */
  readonly lanes: number;
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1_000;

/**
 * The link to the switch: one connection for packets, questions and what the switch says, and a few more that only
 * change entries, so that packets never wait behind those. They stand and fall together. A link that failed is made
 * anew, at once when `connect` is called again, and after a growing pause otherwise.
 */
export class SwitchLink {
  /** The run's place in the switch; null until it was seen for the first time. Kept over reconnects, but see `leave`. */
  run: { readonly round: number; readonly priority: number } | null = null;
  lanes: readonly Connection[] = [];
  private readonly parts: LinkParts;
  private address: SwitchAddress | null = null;
  private main: Connection | null = null;
  private isAttached = false;
  private retry: Cancel | null = null;
  private failures = 0;
  private lastReason = "";

  constructor(parts: LinkParts) {
    this.parts = parts;
  }

  /** The connection for packets and questions, once it takes them. */
  get connection(): Connection | null {
    return this.main !== null && this.main.session.isReady ? this.main : null;
  }

  get attached(): boolean {
    return this.isAttached;
  }

  /** The switch (began anew and) takes connections here. */
  connect(address: SwitchAddress): void {
    this.drop();
    this.address = address;
    this.failures = 0;
    this.open();
  }

  stop(): void {
    this.address = null;
    this.drop();
  }

  /** Somebody else drives the switch, and may take the round of this run: when it is connected again, it is a new run. */
  leave(): void {
    this.stop();
    this.run = null;
  }

  tick(): void {
    for (const connection of [this.main, ...this.lanes]) connection?.tick();
  }

  /** Somebody removed a part of the program. */
  reprogram(): void {
    const main = this.connection;
    if (main === null) return;
    writeProgram(main.output, () => main.session.nextXid());
    main.send();
  }

  waitingFor(): readonly string[] {
    if (this.address === null || this.isAttached) return [];
    const why = this.lastReason === "" ? "" : ` (${this.lastReason})`;
    return [`the OpenFlow connection to Open vSwitch at ${this.address}${why}`];
  }

  private open(): void {
    this.retry = null;
    if (this.address === null) return;
    const main: Connection = this.newConnection(true, () => this.takeStock(main));
    this.main = main;
    main.open(this.address);
  }

  private newConnection(receivesEvents: boolean, ready: () => void): Connection {
    const { clock, handler } = this.parts;
    const events: SessionHandler = {
      ready,
      packetIn: (message, bytes) => handler.packetIn(message, bytes),
      flowRemoved: (record) => handler.flowRemoved(record),
      refused: (error, bytes, text) => handler.refused(text, flowModCookie(error, bytes)),
      failed: (reason) => this.failed(reason),
    };
    return new Connection(clock, events, { receivesEvents });
  }

  /** What is in the switch, then the program, then the lanes. */
  private takeStock(main: Connection): void {
    const found = new FoundFlows();
    const { session } = main;
    session.flowStats(
      ALL_FLOWS,
      (record) => found.note(record),
      () => {
        this.run ??= found.newRun();
        writeProgram(main.output, () => session.nextXid());
        session.barrier(() => this.openLanes(main, found));
        main.send();
      },
    );
    main.send();
  }

  private openLanes(main: Connection, found: FoundFlows): void {
    let missing = this.parts.lanes;
    if (missing === 0) {
      this.lanes = [];
      this.attach(found);
      return;
    }
    const ready = (): void => {
      missing--;
      if (missing === 0 && this.main === main) this.attach(found);
    };
    this.lanes = Array.from({ length: missing }, () => this.newConnection(false, ready));
    for (const lane of this.lanes) lane.open(this.address as SwitchAddress);
  }

  private attach(found: FoundFlows): void {
    this.isAttached = true;
    this.failures = 0;
    this.lastReason = "";
    this.parts.log("info", "Open vSwitch is connected", { address: this.address, ...this.run });
    this.parts.handler.attached(found);
  }

  private failed(reason: string): void {
    const { log, scheduler, random } = this.parts;
    const again = reason === this.lastReason;
    this.lastReason = reason;
    log(again ? "debug" : "warn", "the connection to Open vSwitch ended", { reason, address: this.address });
    this.drop();
    const pauseMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.failures++);
    this.retry = scheduler.after(pauseMs * (0.5 + random.next() / 2), () => this.open());
  }

  private drop(): void {
    this.retry?.cancel();
    this.retry = null;
    for (const connection of [this.main, ...this.lanes]) connection?.close();
    this.main = null;
    this.lanes = [];
    if (!this.isAttached) return;
    this.isAttached = false;
    this.parts.handler.detached();
  }
}

/** An error holds the beginning of the message that it is about: a FLOW_MOD's cookie follows its header. */
function flowModCookie(error: ErrorMessage, b: Uint8Array): { high: number; low: number } | null {
  const at = error.dataStart;
  if (error.dataEnd - at < 16 || b[at + 1] !== OFPT.FLOW_MOD) return null;
  const view = new DataView(b.buffer, b.byteOffset + at + 8, 8);
  return { high: view.getUint32(0), low: view.getUint32(4) };
}
