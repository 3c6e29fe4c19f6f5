import { readFileSync } from "node:fs";
import { type Target, wrong } from "./target.ts";

export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** The files that a target's URL names. @throws MidotraceError USAGE when one cannot be read. */
export function tlsOptions(target: Target): TlsOptions {
  if (!target.tls) return {};
  const [ca, cert, key] = ["ca", "cert", "key"].map((name) => read(target, name));
  if ((cert === undefined) !== (key === undefined)) throw wrong("cert and key go together");
  const servername = target.parameter("server-name");
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(servername === null ? {} : { servername }),
  };
}

function read(target: Target, name: string): string | undefined {
  const path = target.parameter(name);
  if (path === null) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw wrong(`${name}: ${(cause as Error).message}`);
  }
}
