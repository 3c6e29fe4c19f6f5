import { connect, type Socket } from "node:net";
import type { Clock } from "#core/base";
import { Output, Session, type SessionHandler, type SessionOptions } from "#protocols/openflow";

/** Of connections on which events come, and of others. */
const READ_BYTES = { events: 262_144, replies: 16_384 } as const;

/** So much goes out at once: the switch works on it while more is made. */
const WRITE_BYTES = 8_192;

/** Where a switch takes connections: the path of a Unix socket, or `tcp:HOST:PORT`. */
export type SwitchAddress = string;

/**
 * A session on a socket. What encoders write to `output` goes out when the code that is running now is done, or when it is
 * much: call `send` after writing. Bytes that come in lie in one buffer that is used again.
 */
export class Connection {
  readonly output = new Output();
  readonly session: Session;
  private readonly clock: Clock;
  private readonly handler: SessionHandler;
  private readonly buffer: Uint8Array;
  private socket: Socket | null = null;
  private flushing = false;
  private over = false;

  constructor(clock: Clock, handler: SessionHandler, options: SessionOptions) {
    this.clock = clock;
    this.handler = handler;
    this.buffer = new Uint8Array(options.receivesEvents ? READ_BYTES.events : READ_BYTES.replies);
    this.session = new Session(
      this.output,
      {
        ready: (features) => handler.ready(features),
        packetIn: (message, bytes) => handler.packetIn(message, bytes),
        flowRemoved: (record) => handler.flowRemoved(record),
        refused: (error, bytes, text) => handler.refused(error, bytes, text),
        failed: (reason) => this.end(reason),
      },
      options,
    );
  }

  open(address: SwitchAddress): void {
    const onread = {
      buffer: this.buffer,
      callback: (lengthBytes: number): boolean => {
        this.session.received(this.buffer.subarray(0, lengthBytes), this.clock.monotonicMs());
        this.send();
        return true;
      },
    };
    const tcp = /^tcp:(.+):(\d+)$/.exec(address);
    const target = tcp === null ? { path: address } : { host: tcp[1] as string, port: Number(tcp[2]), noDelay: true };
    const socket = connect({ ...target, onread });
    this.socket = socket;
    socket.on("connect", () => {
      if (this.over) return;
      this.session.opened(this.clock.monotonicMs());
      this.send();
    });
    socket.on("error", (error) => this.end(error.message));
    socket.on("close", () => this.end("the switch closed the connection"));
  }

  /** Ends the connection without a word to the handler. */
  close(): void {
    this.over = true;
    this.socket?.destroy();
    this.socket = null;
  }

  tick(): void {
    this.session.tick(this.clock.monotonicMs());
    this.send();
  }

  /** Bytes that the switch has not taken yet. */
  get backlogBytes(): number {
    return this.output.length + (this.socket?.writableLength ?? 0);
  }

  send(): void {
    if (this.output.length >= WRITE_BYTES) {
      this.write();
      return;
    }
    if (this.flushing || this.output.length === 0) return;
    this.flushing = true;
    queueMicrotask(() => {
      this.flushing = false;
      this.write();
    });
  }

  private write(): void {
    const { output, socket } = this;
    if (this.over || socket === null || output.length === 0) return;
    const bytes = output.take();
    socket.write(bytes, () => output.giveBack(bytes));
  }

  private end(reason: string): void {
    if (this.over) return;
    this.close();
    this.handler.failed(reason);
  }
}
