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
