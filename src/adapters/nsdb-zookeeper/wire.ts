import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ServerAddress } from "#protocols/zookeeper";
import type { HostPort, TlsFiles } from "./url.ts";

export interface WireListener {
  opened(): void;
  received(bytes: Uint8Array): void;
  /** Once, at the latest call. Not after `destroy`. */
  closed(reason: string): void;
}

/** One TCP or TLS connection. Nothing is called inside the constructor's call, and nothing after `destroy`. */
export class Wire {
  private readonly socket: Socket;
  private readonly listener: WireListener;
  private over = false;
  private corked = false;

  /** @throws Error when a file of `tls` cannot be read or used. */
  constructor(address: ServerAddress, tls: TlsFiles | null, listener: WireListener) {
    this.listener = listener;
    this.socket = open(address, tls, (bytes) => {
      if (!this.over) listener.received(bytes);
    });
    this.socket.setNoDelay(true);
    this.socket.once(tls === null ? "connect" : "secureConnect", () => {
      if (!this.over) listener.opened();
    });
    this.socket.on("error", (error) => this.close(error.message === "" ? String(error) : error.message));
    this.socket.on("end", () => this.close("the server closed the connection"));
    this.socket.on("close", () => this.close("the connection was closed"));
  }

  /** What is sent in one turn of the event loop goes out in one piece. */
  send(bytes: Uint8Array): void {
    if (this.over) return;
    if (!this.corked) {
      this.corked = true;
      this.socket.cork();
      process.nextTick(() => {
        this.corked = false;
        this.socket.uncork();
      });
    }
    this.socket.write(bytes);
  }

  /** What was sent before still goes out as far as the network takes it at once. */
  destroy(): void {
    this.over = true;
    this.socket.end();
    this.socket.destroy();
  }

  private close(reason: string): void {
    if (this.over) return;
    this.destroy();
    this.listener.closed(reason);
  }
}

/** What is read at once at most, bytes. */
const READ_BYTES = 64 * 1024;

function open(address: ServerAddress, tls: TlsFiles | null, received: (bytes: Uint8Array) => void): Socket {
  // Into one buffer, of which what came is copied: most of it is short, and a new buffer for each costs more.
  const onread = {
    buffer: new Uint8Array(READ_BYTES),
    callback: (length: number, buffer: Uint8Array): boolean => {
      received(buffer.slice(0, length));
      return true;
    },
  };
  const to = { host: address.ip, port: address.port, onread };
  if (tls === null) return connect(to);
  const read = (file: string | undefined): Buffer | undefined => (file === undefined ? undefined : readFileSync(file));
  const [ca, cert, key] = [read(tls.caFile), read(tls.certFile), read(tls.keyFile)];
  return connectTls({
    ...to,
    // The certificate is to be that of the name in the URL, whatever address it has; an IP address is no server name.
    ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  });
}

/** All addresses of all hosts. What cannot be resolved is left out; `problem` hears of it. */
export async function resolveHosts(
  hosts: readonly HostPort[],
  problem: (host: string, error: unknown) => void,
): Promise<ServerAddress[]> {
  const found = await Promise.all(
    hosts.map(async ({ host, port }) => {
      if (isIP(host) !== 0) return [{ host, ip: host, port }];
      try {
        const addresses = await lookup(host, { all: true });
        return addresses.map(({ address }) => ({ host, ip: address, port }));
      } catch (error) {
        problem(host, error);
        return [];
      }
    }),
  );
  return found.flat();
}
