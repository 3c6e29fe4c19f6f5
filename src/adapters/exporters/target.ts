import { MidotraceError, nearestWord } from "#core/base";

/** Kinds of targets; each name with an s behind it means TLS. */
const KINDS = {
  file: { tls: false, port: 0 },
  elasticsearch: { tls: true, port: 9200 },
  logstash: { tls: true, port: 0 },
  splunk: { tls: true, port: 8088 },
  otlp: { tls: true, port: 4318 },
} as const;

export type TargetKind = keyof typeof KINDS;

/** What may stand behind the question mark, by kind; docs/guide/exporting.md has a row for each. */
export const TARGET_PARAMETERS: Readonly<Record<TargetKind | "any" | "tls", Readonly<Record<string, string>>>> = {
  any: { tenant: "export what this tenant may see, and nothing else" },
  tls: {
    ca: "a file with the certificates to trust, instead of the system's",
    cert: "a file with a certificate of our own",
    key: "the file with its key",
    "server-name": "the name that the certificate must have, instead of the host's",
  },
  file: {
    "max-bytes": "a file is closed before it grows beyond this; default 67108864",
    keep: "closed files that are kept, PATH.1 being the newest; default 5",
  },
  elasticsearch: {
    "api-key-env": "the environment variable with an API key, as Elasticsearch gives it in base64",
    "password-env": "the environment variable with the password of the user in the URL",
  },
  logstash: {
    confirm:
      "close: a connection for each batch, which has arrived when the other side has closed it too (default); write: one connection, and what the kernel took counts as arrived",
  },
  splunk: {
    "token-env": "the environment variable with the token, instead of the user in the URL",
    index: "the index, instead of the token's",
    ack: "true: wait until indexers have the events (default); false: until the collector has them",
  },
  otlp: { "headers-env": "the environment variable with further headers, as name=value,name=value" },
};

/** An export URL, read. Secrets are in it: `name` is the one part that may be shown. */
export interface Target {
  readonly kind: TargetKind;
  readonly name: string;
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  /** Of `file:`, the file; else what stands behind the port, without slashes at the ends. */
  readonly path: string;
  readonly user: string;
  readonly password: string;
  /** Empty: administrators. */
  readonly tenant: string;
  /** Null: not said. */
  parameter(name: string): string | null;
}

/** @throws MidotraceError USAGE, without the secrets of the URL. */
export function parseTarget(text: string): Target {
  const scheme = /^([a-z]+):/i.exec(text)?.[1]?.toLowerCase() ?? "";
  const plain = scheme in KINDS ? scheme : scheme.replace(/s$/, "");
  const kind = Object.hasOwn(KINDS, plain) ? (plain as TargetKind) : null;
  const tls = kind !== null && plain !== scheme;
  if (kind === null || (tls && !KINDS[kind].tls))
    throw wrong(`${JSON.stringify(`${scheme}:`)} is none of ${schemes()}`);
  return kind === "file" ? fileTarget(text) : networkTarget(text, kind, scheme, tls);
}

const schemes = (): string =>
  Object.entries(KINDS)
    .flatMap(([name, { tls }]) => (name === "file" ? ["file:PATH"] : tls ? [`${name}://`, `${name}s://`] : []))
    .join(", ");

function fileTarget(text: string): Target {
  const [path = "", query = ""] = text.slice("file:".length).split("?", 2);
  if (path === "") throw wrong("file: needs a path, as in file:/var/log/midotrace/flows.jsonl");
  const parameters = readParameters("file", query, []);
  const none = { tls: false, host: "", port: 0, user: "", password: "" };
  return { kind: "file", name: `file:${path}`, path, ...none, ...parameters };
}

function networkTarget(text: string, kind: Exclude<TargetKind, "file">, scheme: string, tls: boolean): Target {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw wrong(`${scheme}: it is not of the form ${scheme}://HOST:PORT`);
  }
  const { hostname: host, username, password } = url;
  const port = url.port === "" ? KINDS[kind].port : Number(url.port);
  if (host === "" || port === 0) throw wrong(`${scheme}://${host} needs a host and a port`);
  const path = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, "");
  const parameters = readParameters(kind, url.search.slice(1), tls ? ["tls"] : []);
  return {
    kind,
    name: `${scheme}://${host}:${port}${path === "" ? "" : `/${path}`}`,
    tls,
    host: host.replace(/^\[|\]$/g, ""),
    port,
    path,
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    ...parameters,
  };
}

function readParameters(kind: TargetKind, query: string, more: readonly "tls"[]): Pick<Target, "tenant" | "parameter"> {
  const known = [kind, "any" as const, ...more].flatMap((k) => Object.keys(TARGET_PARAMETERS[k]));
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!known.includes(name)) {
      const guess = nearestWord(name, known);
      throw wrong(
        `${kind} has no parameter ${JSON.stringify(name)}${guess === null ? "" : `; did you mean ${guess}?`}`,
      );
    }
    if (value === "" || given.has(name)) throw wrong(`${name} takes one value`);
    given.set(name, value);
  }
  return { tenant: given.get("tenant") ?? "", parameter: (name) => given.get(name) ?? null };
}

/** A whole number that a parameter says. @throws MidotraceError USAGE */
export function numberOf(target: Target, name: string, fallback: number, min: number): number {
  const text = target.parameter(name);
  const value = text === null ? fallback : Number(text);
  if (!Number.isSafeInteger(value) || value < min)
    throw wrong(`${name} is a whole number, ${min} or more, not ${text}`);
  return value;
}

/** One of some words that a parameter says; the first if it is not said. @throws MidotraceError USAGE */
export function choiceOf<W extends string>(target: Target, name: string, words: readonly [W, ...W[]]): W {
  const text = target.parameter(name) ?? words[0];
  const word = words.find((w) => w === text);
  if (word === undefined) throw wrong(`${name} is ${words.join(" or ")}, not ${JSON.stringify(text)}`);
  return word;
}

/** A secret that stands in the environment variable that a parameter names. @throws MidotraceError USAGE */
export function secretOf(
  target: Target,
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): string | null {
  const variable = target.parameter(name);
  if (variable === null) return null;
  const value = env[variable] ?? "";
  if (value === "") throw wrong(`${name}: the environment has no ${variable}`);
  return value;
}

/** @throws nothing: gives the error to throw. */
export function wrong(message: string): MidotraceError {
  return new MidotraceError("USAGE", `--export: ${message}`);
}
