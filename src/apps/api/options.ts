import type { OptionTable, OptionValues } from "#apps/cli/options";
import { AUTH_OPTIONS } from "./auth-options.ts";
import { LIMIT_OPTIONS } from "./limits.ts";
import { TRACE_STORE_OPTIONS } from "./trace-store-options.ts";

/** The API server's options; help, environment, configuration file and reference page are read from here. */
export const API_OPTIONS = {
  store: {
    kind: "text",
    placeholder: "URL",
    default: "memory:",
    description:
      "the store with the virtual network: memory:, file:DIR, or zookeeper://HOST:PORT,HOST:PORT/PATH, which agents elsewhere use too",
  },
  listen: {
    kind: "text",
    placeholder: "ADDRESS:PORT",
    default: "127.0.0.1:8181",
    description: "where the API listens; port 0 takes any free one",
  },
  collect: {
    kind: "text",
    placeholder: "ADDRESS:PORT",
    default: null,
    description:
      "a second address where agents deliver trace segments; nothing else is served there but /healthz, /readyz and /metrics, for which nobody is asked for a password",
  },
  advertise: {
    kind: "text",
    placeholder: "URL",
    default: null,
    description: "where agents reach this server, if not at the address of --collect or else --listen",
  },
  export: {
    kind: "list",
    placeholder: "URL",
    default: [],
    description:
      "export joined flows, once nothing is awaited for them: file:PATH, elasticsearch[s]://HOST:PORT/STREAM, logstash[s]://HOST:PORT, splunk[s]://HOST:PORT, otlp[s]://HOST:PORT; with ?tenant=ID what that tenant may see; see docs/guide/exporting.md",
  },
  data: {
    kind: "text",
    placeholder: "DIR",
    default: null,
    description:
      "keep what must outlive a restart in this directory: the flow traces, unless --trace-store says otherwise, and which store this server belongs to, so that a wiped one is not taken for it",
  },
  ...TRACE_STORE_OPTIONS,
  ...AUTH_OPTIONS,
  insecure: {
    kind: "flag",
    default: false,
    description:
      "let others reach --listen and --collect although nobody is asked for a password: whoever reaches the API is its administrator",
  },
  "audit-log": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description:
      "write who changed what, before and after, and who was not let, into this file: a JSON object a line, rotated; default: into the server's log",
  },
  ...LIMIT_OPTIONS,
} as const satisfies OptionTable;

export type ApiOptionValues = OptionValues<typeof API_OPTIONS>;
