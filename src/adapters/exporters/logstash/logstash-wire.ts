import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Clock, Scheduler } from "#core/base";
import { ecsDocument, type ExportRecord } from "#core/exporting";
import { ALL_TAKEN, type ExportWire, type Outcome } from "../courier/wire.ts";
import { choiceOf, type Target } from "../target.ts";
import { tlsOptions, type TlsOptions } from "../tls.ts";

const SHORTEST_PAUSE_MS = 20;

/**
 * JSON lines with ECS names over TCP or TLS, as Logstash's `tcp` input with the `json_lines` codec takes them. The protocol
 * has no answers: that the other side has read everything is known when it closes its end after we closed ours. So each
 * batch has a connection of its own, unless `confirm=write` says that what the kernel took counts as arrived.
 */
export class LogstashWire implements ExportWire {
  readonly parallel = 1;
  private readonly target: Target;
  private readonly parts: { readonly clock: Clock; readonly scheduler: Scheduler };
  private readonly tls: TlsOptions;
  private readonly perBatch: boolean;
  private kept: Socket | null = null;

  /** @throws MidotraceError USAGE */
  constructor(target: Target, parts: { readonly clock: Clock; readonly scheduler: Scheduler }) {
    this.target = target;
    this.parts = parts;
    this.tls = tlsOptions(target);
    this.perBatch = choiceOf(target, "confirm", ["close", "write"]) === "close";
  }

  async open(): Promise<void> {
    // A connection is made when there is something to send.
  }

  async send(records: readonly ExportRecord[], signal: AbortSignal): Promise<Outcome> {
    const text = records.map((r) => `${JSON.stringify(ecsDocument(r))}\n`).join("");
    if (this.perBatch) await this.sendAlone(text, signal);
    else await this.sendOnKept(text, signal);
    return ALL_TAKEN;
  }

  async close(): Promise<void> {
    this.kept?.destroy();
    this.kept = null;
  }

  private async sendAlone(text: string, signal: AbortSignal): Promise<void> {
    const { clock, scheduler } = this.parts;
    const startedMs = clock.monotonicMs();
    const socket = await this.connected(signal);
    const roundTripMs = clock.monotonicMs() - startedMs;
    const ended = once(socket, "end");
    const closed = once(socket, "close");
    for (const end of [ended, closed]) end.catch(ignore);
    await guarded(socket, signal, async () => {
      await written(socket, text);
      // Whoever had closed before this came says so within a round trip: later its end is the answer to ours.
      await new Promise<void>((resolve) => scheduler.after(Math.max(SHORTEST_PAUSE_MS, 2 * roundTripMs), resolve));
      for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
      if (socket.readableEnded) throw EARLY;
      socket.end();
      await ended;
      // A reset on account of what was not read is an error of the socket before it closes.
      await closed;
    });
  }

  private async sendOnKept(text: string, signal: AbortSignal): Promise<void> {
    const socket = this.kept ?? (await this.connected(signal));
    if (this.kept === null) {
      this.kept = socket;
      socket.once("close", () => {
        if (this.kept === socket) this.kept = null;
      });
    }
    await guarded(socket, signal, async () => {
      // Back-pressure: the next batch waits until this one has gone out.
      await written(socket, text);
    });
  }

  private async connected(signal: AbortSignal): Promise<Socket> {
    const { host, port, tls } = this.target;
    const socket = tls
      ? connectTls({ host, port, ...this.tls, ...(this.tls.servername === undefined ? sni(host) : {}) })
      : connect({ host, port });
    socket.on("error", ignore);
    await guarded(socket, signal, async () => {
      await once(socket, tls ? "secureConnect" : "connect", { signal });
    });
    // What it says is of no interest, but its end is.
    socket.resume();
    return socket;
  }
}

function written(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(text, (error) => {
      if (error == null) resolve();
      else reject(error);
    });
  });
}

const EARLY = new Error("the other side closed the connection early");

/** Runs `work`; an error of the socket, its early end or the signal ends it, and the socket with it. */
async function guarded(socket: Socket, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  let undo = ignore;
  const broken = new Promise<never>((_resolve, reject) => {
    const failed = (error: Error): void => reject(error);
    // Who closes when it has our end does as it should.
    const closed = (): void => {
      if (!socket.writableFinished || !socket.readableEnded) reject(EARLY);
    };
    const aborted = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    socket.once("error", failed);
    socket.once("close", closed);
    signal.addEventListener("abort", aborted, { once: true });
    if (signal.aborted) aborted();
    undo = () => {
      socket.off("error", failed);
      socket.off("close", closed);
      signal.removeEventListener("abort", aborted);
    };
  });
  try {
    await Promise.race([work(), broken]);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    undo();
    broken.catch(ignore);
  }
}

/** Names of servers are names: an address is none (RFC 6066 §3). */
const sni = (host: string): { readonly servername?: string } => (/^[\d.]+$|:/.test(host) ? {} : { servername: host });
function ignore(): void {}
