import { defaultsOf, type OptionTable, type OptionValues } from "#apps/cli/options";

/** What a server takes from everybody. */
export interface ServerLimits {
  readonly bodyBytes: number;
  readonly headerBytes: number;
  /** Path and query, characters. */
  readonly urlLength: number;
  readonly jsonDepth: number;
  /** Members and elements of one body. */
  readonly jsonValues: number;
  /** Connections at once. */
  readonly connections: number;
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to its last. */
  readonly requestTimeoutMs: number;
  readonly keepAliveMs: number;
}

/** Requests per second; ten seconds' worth may come at once. Null: as many as come. */
export interface RateLimits {
  /** Of one user of one tenant. */
  readonly identity: number | null;
  /** From one address, whoever asks. */
  readonly address: number | null;
  /** Answers of 401 to one address: tokens and passwords that were tried. */
  readonly refusals: number | null;
}

/** What one tenant may have; administrators are not limited, whatever they make. Null: no limit. */
export interface TenantLimits {
  readonly traces: number | null;
  readonly enabledTraces: number | null;
  readonly streams: number | null;
}

const KIB = 1024;
const PER_SECOND = { kind: "integer", placeholder: "N", min: 0n, max: 1_000_000n } as const;
const COUNT = { kind: "integer", placeholder: "N", min: 0n, max: 1_000_000_000n } as const;
const SECONDS = { kind: "integer", placeholder: "N", unit: "s", min: 1n, max: 3_600n } as const;

/** The limits of an API server, as options. 0 of those that say so: no limit. */
export const LIMIT_OPTIONS = {
  "max-body": {
    kind: "integer",
    placeholder: "N",
    unit: "KiB",
    default: 16_384n,
    min: 1n,
    max: 1_048_576n,
    description: "longest body of a request",
  },
  "max-header": {
    kind: "integer",
    placeholder: "N",
    unit: "KiB",
    default: 16n,
    min: 1n,
    max: 1_024n,
    description: "longest header of a request, its first line included",
  },
  "max-url": {
    kind: "integer",
    placeholder: "N",
    unit: "characters",
    default: 8_192n,
    min: 256n,
    max: 1_000_000n,
    description: "longest path and query",
  },
  "max-json-depth": {
    kind: "integer",
    placeholder: "N",
    default: 32n,
    min: 4n,
    max: 1_000n,
    description: "arrays and objects within each other in one body",
  },
  "max-json-values": {
    kind: "integer",
    placeholder: "N",
    default: 500_000n,
    min: 100n,
    max: 100_000_000n,
    description: "members of objects and elements of arrays in one body",
  },
  "max-connections": {
    kind: "integer",
    placeholder: "N",
    default: 2_000n,
    min: 1n,
    max: 1_000_000n,
    description: "connections at once; further ones are closed at once",
  },
  "header-timeout": { ...SECONDS, default: 10n, description: "time for the header of a request to come in" },
  "request-timeout": { ...SECONDS, default: 60n, description: "time for a request to come in whole" },
  "keep-alive-timeout": { ...SECONDS, default: 72n, description: "time that a connection without requests stays open" },
  rate: {
    ...PER_SECOND,
    default: 50n,
    description: "requests per second of one user of one tenant, ten seconds' worth at once; 0: no limit",
  },
  "address-rate": {
    ...PER_SECOND,
    default: 200n,
    description:
      "requests per second from one address, ten seconds' worth at once; 0: no limit, as behind a proxy, whose address all have",
  },
  "refusal-rate": {
    ...PER_SECOND,
    default: 1n,
    description:
      "tokens and passwords per second that one address may try in vain, ten seconds' worth at once; 0: no limit",
  },
  "tenant-traces": { ...COUNT, default: 1_000n, description: "trace requests of one tenant; 0: no limit" },
  "tenant-enabled-traces": {
    ...COUNT,
    default: 100n,
    description: "enabled trace requests of one tenant; 0: no limit",
  },
  "tenant-streams": {
    ...COUNT,
    default: 20n,
    description: "event streams that one tenant has open at this server; 0: no limit",
  },
} as const satisfies OptionTable;

type LimitValues = OptionValues<typeof LIMIT_OPTIONS>;

const defaults = defaultsOf(LIMIT_OPTIONS);

export function serverLimits(o: LimitValues = defaults): ServerLimits {
  return {
    bodyBytes: Number(o["max-body"]) * KIB,
    headerBytes: Number(o["max-header"]) * KIB,
    urlLength: Number(o["max-url"]),
    jsonDepth: Number(o["max-json-depth"]),
    jsonValues: Number(o["max-json-values"]),
    connections: Number(o["max-connections"]),
    headersTimeoutMs: Number(o["header-timeout"]) * 1_000,
    requestTimeoutMs: Number(o["request-timeout"]) * 1_000,
    keepAliveMs: Number(o["keep-alive-timeout"]) * 1_000,
  };
}

const orNone = (n: bigint): number | null => (n === 0n ? null : Number(n));

export function rateLimits(o: LimitValues = defaults): RateLimits {
  return {
    identity: orNone(o.rate),
    address: orNone(o["address-rate"]),
    refusals: orNone(o["refusal-rate"]),
  };
}

export const NO_RATE_LIMITS: RateLimits = { identity: null, address: null, refusals: null };

export function tenantLimits(o: LimitValues = defaults): TenantLimits {
  return {
    traces: orNone(o["tenant-traces"]),
    enabledTraces: orNone(o["tenant-enabled-traces"]),
    streams: orNone(o["tenant-streams"]),
  };
}
