import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { type OptionTable, type OptionValues, usage } from "#apps/cli/options";
import { ApiClient } from "./api-client.ts";

/** What every command that talks to a server has. */
export const API_OPTIONS = {
  api: {
    kind: "text",
    placeholder: "URL",
    default: "http://127.0.0.1:8181",
    description: "the API server",
  },
  token: {
    kind: "text",
    placeholder: "TOKEN",
    default: null,
    description: "authentication token, sent as X-Auth-Token; `midotrace login` gets one",
  },
  "api-ca": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "certificates (PEM) of the authorities to trust for the API server, beside the machine's",
  },
} as const satisfies OptionTable;

export const JSON_OPTION = {
  json: {
    kind: "flag",
    default: false,
    description: "print the server's JSON, exact to the digit, instead of a table",
  },
} as const satisfies OptionTable;

/** @throws MidotraceError USAGE for a URL or a file that is none. */
export function clientOf(options: OptionValues<typeof API_OPTIONS>, stop: AbortSignal): ApiClient {
  if (options["api-ca"] !== null) trust(options["api-ca"]);
  return new ApiClient(options.api, options.token, stop);
}

/** For the whole process, as `fetch` can be told in no other way; a command line talks to one server. */
function trust(path: string): void {
  try {
    const pem = readFileSync(path, "utf8");
    setDefaultCACertificates([...getCACertificates("default"), ...certificatesOf(pem)]);
  } catch (cause) {
    throw usage(`--api-ca ${path} has no certificates (PEM) to trust: ${(cause as Error).message}`);
  }
}

/** Each by itself: one that is none makes all of them be none. */
function certificatesOf(pem: string): string[] {
  const all = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (all.length === 0) throw new Error("there is none");
  return all.map((one) => new X509Certificate(one).toString());
}
