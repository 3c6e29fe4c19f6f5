import { MidotraceError } from "#core/base";

export interface ListenAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** `HOST:PORT`, `[IPV6]:PORT`, or a port alone, which means loopback. @throws MidotraceError USAGE */
export function parseListen(text: string): ListenAddress {
  const m = /^(?:(\[[0-9a-fA-F:.]+\]|[^:[\]]*):)?(\d{1,5})$/.exec(text);
  const port = Number(m?.[2] ?? Number.NaN);
  if (m === null || port > 65_535) {
    throw new MidotraceError("USAGE", `--listen is ADDRESS:PORT, as in 127.0.0.1:8181, not ${JSON.stringify(text)}`);
  }
  const host = (m[1] ?? "").replace(/^\[|\]$/g, "");
  return { host: host === "" ? "127.0.0.1" : host, port };
}

/** Only this machine can reach it: 127.0.0.0/8, ::1 and the name for them. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/**
 * A server that asks nobody who they are listens where only this machine can reach it.
 * @throws MidotraceError USAGE for any other address, unless told that it is wanted.
 */
export function requireLoopback(host: string, insecure: boolean): void {
  if (insecure || isLoopback(host)) return;
  throw new MidotraceError(
    "USAGE",
    `--listen ${host}: nobody is asked for a password, so everybody who reaches it would be an administrator; if that is wanted, say --insecure too`,
  );
}
