import {
  Followed,
  type ProcessLog,
  readCaFile,
  readSecretFile,
  readTlsFiles,
  systemClock,
  systemScheduler,
} from "#adapters/platform";
import type { CollectorCredentials } from "#adapters/trace-sink-http";
import { usage } from "#apps/cli/options";
import type { AgentOptionValues } from "./options.ts";

type Named = Pick<AgentOptionValues, "api-token" | "api-token-file" | "api-ca" | "api-cert" | "api-key">;

/**
 * What this agent shows the API servers, from the options; the files are followed.
 * @throws MidotraceError USAGE for options that do not go together, and for files that are not right.
 */
export function collectorCredentials(options: Named, log: ProcessLog): Followed<CollectorCredentials> {
  const {
    "api-token": token,
    "api-token-file": tokenFile,
    "api-ca": caFile,
    "api-cert": cert,
    "api-key": key,
  } = options;
  if (token !== null && tokenFile !== null) throw usage("--api-token and --api-token-file say the same: give one");
  if ((cert === null) !== (key === null)) throw usage("--api-cert and --api-key go together");
  const names = { cert: "--api-cert", key: "--api-key" };
  const read = (): CollectorCredentials => ({
    token: token ?? (tokenFile === null ? null : tokenIn(readSecretFile(tokenFile, "--api-token-file"))),
    ca: caFile === null ? null : readCaFile(caFile, "--api-ca"),
    client: cert === null || key === null ? null : readTlsFiles(cert, key, names, systemClock.nowMs()),
  });
  read();
  const paths = [tokenFile, caFile, cert, key].filter((path) => path !== null);
  return new Followed({ paths, read, scheduler: systemScheduler, log });
}

/** @throws MidotraceError USAGE for what would break the header that it goes into. */
function tokenIn(text: string): string {
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw usage("--api-token-file: there is no token in it, which is one line of printable characters without blanks");
}
