import type { OptionTable, OptionValues } from "#apps/cli/options";
import { BUDGET_LIMITS } from "./event-budget.ts";

/** The agent's options; help, environment, configuration file and reference page are read from here. */
export const AGENT_OPTIONS = {
  store: {
    kind: "text",
    placeholder: "URL",
    default: null,
    description: "the store with the virtual network: zookeeper://HOST:PORT,…/PATH",
  },
  "host-id": {
    kind: "text",
    placeholder: "UUID",
    default: null,
    description: "which host this is; without it the id in the state directory, made at the first start",
  },
  "host-name": {
    kind: "text",
    placeholder: "NAME",
    default: null,
    description: "what people call this host; without it the machine's name",
  },
  "tunnel-ip": {
    kind: "text",
    placeholder: "ADDRESS",
    default: null,
    description: "this host's end of the tunnels; without it the host's address in its tunnel zone",
  },
  bridge: {
    kind: "text",
    placeholder: "NAME",
    default: "br-int",
    description: "the switch to make and to drive",
  },
  "ovs-run-dir": {
    kind: "text",
    placeholder: "DIR",
    default: "/run/openvswitch",
    description: "where Open vSwitch has its sockets",
  },
  datapath: {
    kind: "text",
    placeholder: "KIND",
    default: "auto",
    choices: ["auto", "system", "netdev"],
    description:
      "of the switch: in the kernel (system), in userspace (netdev), or the kernel's where it has one (auto)",
  },
  "state-dir": {
    kind: "text",
    placeholder: "DIR",
    default: "/var/lib/midotrace",
    description: "what must outlive a restart: the host's id, how much of each trace's limit is used",
  },
  listen: {
    kind: "text",
    placeholder: "ADDRESS:PORT",
    default: "127.0.0.1:8182",
    description: "where /healthz, /readyz and /metrics answer; port 0 takes any free one",
  },
  "spool-mib": {
    kind: "integer",
    placeholder: "MIB",
    default: 64n,
    min: 0n,
    max: 65_536n,
    description:
      "trace reports that no collector took yet, in the state directory: most MiB of them (on the disk up to twice as much); 0 keeps them in memory only, and loses them with the process",
  },
  "spool-segments": {
    kind: "integer",
    placeholder: "N",
    default: 50_000n,
    min: 1n,
    max: 10_000_000n,
    description: "and most reports; the oldest flow goes first, and is counted",
  },
  "trace-events": {
    kind: "integer",
    placeholder: "N",
    default: BigInt(BUDGET_LIMITS.perHost),
    min: 1n,
    max: 1_000_000_000n,
    description:
      "steps of traces that may be recorded per second on this host; beyond, only what became of a packet is recorded, then flows are only counted",
  },
  "trace-events-per-request": {
    kind: "integer",
    placeholder: "N",
    default: BigInt(BUDGET_LIMITS.perRequest),
    min: 1n,
    max: 1_000_000_000n,
    description: "of them, for any one trace request",
  },
  "api-token": {
    kind: "text",
    placeholder: "TOKEN",
    default: null,
    description:
      "this agent's token for the API servers (everybody on this machine sees a command line: better in the environment, the configuration file, or --api-token-file)",
  },
  "api-token-file": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "that token, alone in a file that only its owner can read; read again when it changes",
  },
  "api-ca": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "certificates (PEM) of the authorities to trust for the API servers, in place of the machine's",
  },
  "api-cert": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "this agent's certificate (PEM) for the API servers, in place of a token or beside it",
  },
  "api-key": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "the key of --api-cert (PEM); both are read again when they change",
  },
  "log-file": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "write every trace step of this host to this file, which is rotated; - is standard output",
  },
  "log-format": {
    kind: "text",
    placeholder: "FORMAT",
    default: "json",
    choices: ["json", "text"],
    description: "of --log-file: one JSON object per line, or sentences",
  },
  export: {
    kind: "list",
    placeholder: "URL",
    default: [],
    description:
      "export the steps of this host as they happen: file:PATH, elasticsearch[s]://HOST:PORT/STREAM, logstash[s]://HOST:PORT, splunk[s]://HOST:PORT, otlp[s]://HOST:PORT; with ?tenant=ID what that tenant may see; see docs/guide/exporting.md",
  },
  "capture-bytes": {
    kind: "integer",
    placeholder: "N",
    unit: "bytes",
    default: 0n,
    min: 0n,
    max: 65_535n,
    description:
      "how much of each traced packet is kept for packet captures, payload included; 0 keeps its headers and no payload",
  },
  "log-level": {
    kind: "text",
    placeholder: "LEVEL",
    default: "info",
    choices: ["debug", "info", "warn", "error"],
    description: "the least important lines that the log on standard error has",
  },
} as const satisfies OptionTable;

export type AgentOptionValues = OptionValues<typeof AGENT_OPTIONS>;
