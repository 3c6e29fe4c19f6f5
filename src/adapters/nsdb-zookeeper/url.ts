import { didYouMean, MidotraceError } from "#core/base";
import { isPath } from "#core/nsdb";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Files in PEM; read at each connection, so that renewed ones are used. */
export interface TlsFiles {
  /** Certificates to trust instead of the system's. */
  readonly caFile?: string;
  /** This client's own certificate, with its key: for servers that ask for one (ZooKeeper's default). */
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface DigestAuth {
  readonly user: string;
  readonly password: string;
}

export interface ZookeeperTarget {
  readonly hosts: readonly HostPort[];
  /** Where the store's "/" is; never the tree's own root. */
  readonly chroot: string;
  /** Null: plain text. */
  readonly tls: TlsFiles | null;
  readonly auth: DigestAuth | null;
  readonly sessionTimeoutMs: number | null;
}

/** ZooKeeper's usual `clientPort`, and the `secureClientPort` of its documentation. */
export const DEFAULT_PORT = 2181;
export const DEFAULT_TLS_PORT = 2281;

const QUERY = ["ca", "cert", "key", "timeout"];

/**
 *     zookeeper://h1:2181,h2:2181,[::1]:2181/midonet/v1
 *     zookeepers://user:password@h1,h2/midonet/v1?ca=FILE&cert=FILE&key=FILE      over TLS
 *
 * User and password are percent-encoded; `timeout` is the session timeout in ms. Behind the hosts stands the node that is
 * the store's root; ZooKeeper's own root cannot be, as it holds ZooKeeper's own nodes.
 * @throws MidotraceError USAGE naming what is wrong. Passwords are not repeated in it.
 */
export function parseZookeeperUrl(url: string): ZookeeperTarget {
  const match = /^(zookeepers?):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/.exec(url);
  if (match === null) throw usage("it must look like zookeeper://HOST:PORT,HOST:PORT/PATH");
  const [, scheme, authority = "", path = "", query = ""] = match;
  const secure = scheme === "zookeepers";
  const at = authority.lastIndexOf("@");
  const hosts = authority.slice(at + 1);
  if (hosts === "") throw usage("no server is named");
  const words = parseQuery(query, secure);
  return {
    hosts: hosts.split(",").map((text) => parseHost(text, secure ? DEFAULT_TLS_PORT : DEFAULT_PORT)),
    chroot: parseChroot(path),
    tls: secure ? tlsFiles(words) : null,
    auth: at < 0 ? null : parseAuth(authority.slice(0, at)),
    sessionTimeoutMs: parseTimeout(words.get("timeout")),
  };
}

/** The servers, for messages. */
export function describeHosts(hosts: readonly HostPort[]): string {
  return hosts.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`).join(",");
}

const usage = (what: string): MidotraceError => new MidotraceError("USAGE", `bad ZooKeeper URL: ${what}`);

function parseHost(text: string, defaultPort: number): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text);
  if (match === null) {
    const hint = (text.match(/:/g)?.length ?? 0) > 1 ? " (an IPv6 address stands in brackets)" : "";
    throw usage(text === "" ? "a server's name is empty" : `${text} is no HOST:PORT${hint}`);
  }
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port < 1 || port > 65_535) throw usage(`${text} has no possible port`);
  return { host: (match[1] ?? match[2]) as string, port };
}

function parseChroot(text: string): string {
  const path = decoded(text, "the path").replace(/\/$/, "");
  if (path === "") throw usage("it must name the store's root behind the servers, such as /midonet/v1");
  if (!isPath(path)) throw usage(`${path} is no path of nodes`);
  if (path === "/zookeeper" || path.startsWith("/zookeeper/")) throw usage("/zookeeper belongs to ZooKeeper itself");
  return path;
}

function parseAuth(text: string): DigestAuth {
  const colon = text.indexOf(":");
  if (colon < 1) throw usage("credentials must be user:password, both percent-encoded");
  return {
    user: decoded(text.slice(0, colon), "the user"),
    password: decoded(text.slice(colon + 1), "the password"),
  };
}

function parseQuery(query: string, secure: boolean): Map<string, string> {
  const words = new Map<string, string>();
  for (const part of query === "" ? [] : query.split("&")) {
    const [name = "", ...value] = part.split("=");
    if (!QUERY.includes(name)) throw usage(`unknown option ${name}${didYouMean(name, QUERY)}`);
    if (name !== "timeout" && !secure) throw usage(`${name} is for zookeepers:// (TLS)`);
    words.set(name, decoded(value.join("="), name));
  }
  return words;
}

function tlsFiles(words: ReadonlyMap<string, string>): TlsFiles {
  const [caFile, certFile, keyFile] = ["ca", "cert", "key"].map((name) => words.get(name));
  if ((certFile === undefined) !== (keyFile === undefined)) throw usage("cert and key belong together");
  return {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined || keyFile === undefined ? {} : { certFile, keyFile }),
  };
}

function parseTimeout(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = /^\d+$/.test(text) ? Number(text) : 0;
  if (ms < 100 || ms > 3_600_000) throw usage(`timeout is in ms, 100 to 3600000, not ${text}`);
  return ms;
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw usage(`${what} is not percent-encoded as it should be`);
  }
}
