import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MidotraceError } from "#core/base";
import { endChild, hasCommand, until } from "./command.ts";
import { askSrvr } from "./zookeeper-srvr.ts";

/** Debian's package; `MIDOTRACE_ZOOKEEPER_CLASSPATH` names another installation. */
const ZOOKEEPER_JAR = "/usr/share/java/zookeeper.jar";
const LOGGER_JAR = "/usr/share/java/slf4j-simple.jar";
/** What Debian's zookeeper.jar leaves out of its manifest and TLS needs. */
const TLS_JARS = ["netty-codec", "netty-resolver", "netty-transport-native-unix-common"].map(
  (name) => `/usr/share/java/${name}.jar`,
);

/** What keeps this machine from running ZooKeeper servers, with the command that helps; null: nothing. */
export function zookeeperMissing(): string | null {
  const missing: string[] = [];
  if (!hasCommand("java")) missing.push("java");
  if (process.env["MIDOTRACE_ZOOKEEPER_CLASSPATH"] === undefined && !existsSync(ZOOKEEPER_JAR))
    missing.push(ZOOKEEPER_JAR);
  return missing.length === 0 ? null : `${missing.join(" and ")} not found: apt-get install zookeeper`;
}

/** As `zookeeperMissing`, for servers that listen with TLS. */
export function zookeeperTlsMissing(): string | null {
  const missing = TLS_JARS.filter((jar) => !existsSync(jar));
  return (
    zookeeperMissing() ??
    (missing.length === 0 ? null : `${missing.join(", ")} not found: apt-get install libnetty-java`)
  );
}

export interface ZookeeperPorts {
  readonly client: number;
  /** Of the ensemble's own traffic: followers to leader, and elections. Unused by a single server. */
  readonly peer: number;
  readonly election: number;
  /** Of clients over TLS; needed with `tls` only. */
  readonly secure?: number;
}

/** PEM files for `secureClientPort`. */
export interface ZookeeperTls {
  /** Private key and certificate chain in one file. */
  readonly keyStoreFile: string;
  /** Certificates of the authorities that clients' certificates must be from. */
  readonly trustStoreFile: string;
}

export interface ZookeeperSetup {
  readonly servers: 1 | 3;
  /** Data, configuration and logs of all servers; default: a temporary one that goes with `stop`. */
  readonly directory?: string;
  /** The address to listen on: one for all, or one for each. Default 127.0.0.1. */
  readonly host?: string | readonly string[];
  /** For each server. Default: free ones of this machine, or, with `prefix`, from 2181, 2888, 3888 and 2281 upward. */
  readonly ports?: readonly ZookeeperPorts[];
  /** Put before every command: `["ip", "netns", "exec", NAME]`; one for all, or one for each. */
  readonly prefix?: readonly string[] | readonly (readonly string[])[];
  /** The unit of the servers' clocks; sessions last 2 ms at the least and 60 s at the most. Default 500 ms. */
  readonly tickMs?: number;
  /** Of each server's Java heap; default 128 MB, enough for 100 000 small nodes. */
  readonly heapMb?: number;
  readonly tls?: ZookeeperTls;
  /** How long an ensemble may take to answer, ms; default 30 000. */
  readonly readyWithinMs?: number;
}

export type ZookeeperMode = "standalone" | "leader" | "follower";

const IN_USE = "Address already in use";

/** Attempts when ports that were free are taken by others before the servers have them. */
const PORT_ATTEMPTS = 3;

/**
 * Starts real ZooKeeper servers and waits until they answer. They end with this process, however it ends.
 * @throws MidotraceError INTERNAL when something is missing, or with the servers' last words when they do not come up.
 */
export async function startZookeeper(setup: ZookeeperSetup): Promise<ZookeeperEnsemble> {
  const missing = setup.tls === undefined ? zookeeperMissing() : zookeeperTlsMissing();
  if (missing !== null) throw new MidotraceError("INTERNAL", missing);
  for (let attempt = 1; ; attempt++) {
    const ensemble = new ZookeeperEnsemble(setup, await choosePorts(setup));
    try {
      await ensemble.startAll();
      return ensemble;
    } catch (error) {
      const said = [String(error), ...ensemble.servers.map((server) => server.logTail(200))];
      const taken = said.some((text) => text.includes("BindException") || text.includes(IN_USE));
      await ensemble.stop();
      if (!taken || setup.ports !== undefined || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

/** One server, or three that elect a leader. */
export class ZookeeperEnsemble {
  readonly servers: readonly ZookeeperServer[];
  private readonly directory: string;
  private readonly temporary: boolean;
  private readonly readyWithinMs: number;

  constructor(setup: ZookeeperSetup, ports: readonly ZookeeperPorts[]) {
    this.temporary = setup.directory === undefined;
    this.directory = setup.directory ?? mkdtempSync(join(tmpdir(), "midotrace-zookeeper-"));
    this.readyWithinMs = setup.readyWithinMs ?? 30_000;
    const members = ports.map((p, i) => ({ ports: p, host: hostOf(setup, i) }));
    this.servers = members.map(
      ({ ports: p, host }, i) =>
        new ZookeeperServer({
          id: i + 1,
          host,
          ports: p,
          directory: join(this.directory, `server-${i + 1}`),
          prefix: prefixOf(setup, i),
          heapMb: setup.heapMb ?? 128,
          readyWithinMs: this.readyWithinMs,
          tls: setup.tls ?? null,
          config: configOf(setup, members),
        }),
    );
  }

  /** `host:port,host:port`, as it stands in a `zookeeper://` URL before the path. */
  get connectString(): string {
    return this.servers.map((server) => `${bracketed(server.host)}:${server.ports.client}`).join(",");
  }

  /** As `connectString`, of the ports for TLS. */
  get secureConnectString(): string {
    return this.servers.map((server) => `${bracketed(server.host)}:${server.ports.secure}`).join(",");
  }

  /** @throws MidotraceError INTERNAL */
  async startAll(): Promise<void> {
    // A member of an ensemble answers only when there is a quorum: they must all be on their way before one is waited for.
    await Promise.all(this.servers.map((server) => server.start()));
  }

  /** The server that leads, or the only one; null: none at this moment. */
  async leader(): Promise<ZookeeperServer | null> {
    for (const server of this.servers) {
      const mode = await server.mode();
      if (mode === "leader" || mode === "standalone") return server;
    }
    return null;
  }

  /** Resolves when a quorum has a leader again. @throws MidotraceError INTERNAL */
  async untilLed(): Promise<ZookeeperServer> {
    return until("a ZooKeeper leader", this.readyWithinMs, () => this.leader());
  }

  /** Ends all servers and removes a temporary directory. Idempotent. */
  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill("SIGKILL")));
    if (this.temporary) await rm(this.directory, { recursive: true, force: true });
  }
}

interface ServerSetup {
  readonly id: number;
  readonly host: string;
  readonly ports: ZookeeperPorts;
  readonly directory: string;
  readonly prefix: readonly string[];
  readonly heapMb: number;
  readonly readyWithinMs: number;
  readonly tls: ZookeeperTls | null;
  /** Without what names the server's own directory and port. */
  readonly config: readonly string[];
}

/** Children that must not outlive this process. */
const alive = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

export class ZookeeperServer {
  readonly id: number;
  readonly host: string;
  readonly ports: ZookeeperPorts;
  private readonly o: ServerSetup;
  private child: ChildProcess | null = null;

  constructor(o: ServerSetup) {
    this.o = o;
    this.id = o.id;
    this.host = o.host;
    this.ports = o.ports;
  }

  /** Null: it does not run. */
  get pid(): number | null {
    return this.child?.pid ?? null;
  }

  /** Starts it if it does not run, with the data it had, and waits until it serves. @throws MidotraceError INTERNAL with its last words. */
  async start(): Promise<void> {
    if (this.child !== null) return;
    await this.writeConfig();
    // Another server there would answer in its place while it fails.
    const taken = await askSrvr(this.host, this.ports.client, this.o.prefix);
    if (taken !== "") throw new MidotraceError("INTERNAL", `${this.host}:${this.ports.client}: ${IN_USE}`);
    const child = this.spawn();
    this.child = child;
    alive.add(child);
    child.once("exit", () => {
      alive.delete(child);
      if (this.child === child) this.child = null;
    });
    let failure: Error | null = null;
    child.once("error", (error) => {
      failure = error;
    });
    try {
      await until(
        `ZooKeeper server ${this.id} at ${this.host}:${this.ports.client}`,
        this.o.readyWithinMs,
        async () => {
          if (failure !== null || this.child !== child)
            throw new MidotraceError(
              "INTERNAL",
              `ZooKeeper server ${this.id} ended${failure === null ? "" : `: ${failure}`}`,
            );
          return this.mode();
        },
      );
    } catch (cause) {
      await this.kill("SIGKILL");
      const said = this.logTail(15);
      throw new MidotraceError("INTERNAL", `${String(cause)}${said === "" ? "" : `\n${said}`}`, [], { cause });
    }
  }

  /** What it is in its ensemble; null: it does not serve. */
  async mode(): Promise<ZookeeperMode | null> {
    // Another may have taken its port.
    if (this.child === null) return null;
    const answer = await askSrvr(this.host, this.ports.client, this.o.prefix);
    const mode = /^Mode: (\w+)/m.exec(answer)?.[1];
    return mode === "standalone" || mode === "leader" || mode === "follower" ? mode : null;
  }

  /** Ends it, and waits until it is gone. Nothing happens if it does not run. */
  async kill(signal: "SIGTERM" | "SIGKILL" = "SIGKILL"): Promise<void> {
    const { child } = this;
    if (child === null) return;
    // A stopped process hears no SIGTERM.
    if (signal === "SIGTERM") child.kill("SIGCONT");
    await endChild(child, signal, 5000);
    this.child = null;
    alive.delete(child);
  }

  /** Freezes it: it keeps its connections and answers nothing. */
  pause(): void {
    this.child?.kill("SIGSTOP");
  }

  resume(): void {
    this.child?.kill("SIGCONT");
  }

  /** Forgets all data. @throws MidotraceError INTERNAL when it runs. */
  async wipe(): Promise<void> {
    if (this.child !== null)
      throw new MidotraceError("INTERNAL", `ZooKeeper server ${this.id} runs: end it before wiping`);
    await rm(join(this.o.directory, "data"), { recursive: true, force: true });
  }

  /** The last lines of its log, of all its runs. */
  logTail(lines: number): string {
    const file = join(this.o.directory, "zookeeper.log");
    return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n") : "";
  }

  private async writeConfig(): Promise<void> {
    const { directory, config, host, ports, id, tls } = this.o;
    const data = join(directory, "data");
    await mkdir(data, { recursive: true });
    await writeFile(join(data, "myid"), `${id}\n`);
    const secure = tls === null ? [] : tlsConfig(host, ports, tls);
    const own = [`dataDir=${data}`, `clientPort=${ports.client}`, `clientPortAddress=${host}`];
    await writeFile(join(directory, "zoo.cfg"), `${[...config, ...own, ...secure].join("\n")}\n`);
  }

  private spawn(): ChildProcess {
    const { directory, prefix, heapMb, tls } = this.o;
    const installed = process.env["MIDOTRACE_ZOOKEEPER_CLASSPATH"] ?? `${ZOOKEEPER_JAR}:${LOGGER_JAR}`;
    const classPath = [installed, ...(tls === null ? [] : TLS_JARS)].join(":");
    // With setpriv the server ends also when this process is killed.
    const bound = hasCommand("setpriv") ? ["setpriv", "--pdeathsig", "KILL", "--"] : [];
    const java = ["java", "-Xms32m", `-Xmx${heapMb}m`, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
    if (tls !== null) java.push("-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory");
    const main = ["-cp", classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", join(directory, "zoo.cfg")];
    const [command, ...args] = [...prefix, ...bound, ...java, ...main];
    const log = openSync(join(directory, "zookeeper.log"), "a");
    try {
      // A process group of its own: a terminal's Ctrl+C is for who started it, who ends it in order.
      return spawn(command as string, args, { stdio: ["ignore", log, log], detached: true });
    } finally {
      closeSync(log);
    }
  }
}

function configOf(
  setup: ZookeeperSetup,
  members: readonly { readonly host: string; readonly ports: ZookeeperPorts }[],
): string[] {
  const config = [
    `tickTime=${setup.tickMs ?? 500}`,
    "minSessionTimeout=2",
    "maxSessionTimeout=60000",
    "maxClientCnxns=0",
    "admin.enableServer=false",
    "4lw.commands.whitelist=srvr",
  ];
  if (members.length === 1) return config;
  const peers = members.map(({ host, ports }, i) => {
    return `server.${i + 1}=${bracketed(host)}:${ports.peer}:${ports.election}`;
  });
  return [...config, "initLimit=20", "syncLimit=10", ...peers];
}

function tlsConfig(host: string, ports: ZookeeperPorts, tls: ZookeeperTls): string[] {
  return [
    `secureClientPort=${ports.secure}`,
    `secureClientPortAddress=${host}`,
    "ssl.keyStore.type=PEM",
    `ssl.keyStore.location=${tls.keyStoreFile}`,
    "ssl.trustStore.type=PEM",
    `ssl.trustStore.location=${tls.trustStoreFile}`,
  ];
}

const bracketed = (host: string): string => (host.includes(":") ? `[${host}]` : host);

function hostOf(setup: ZookeeperSetup, index: number): string {
  const { host = "127.0.0.1" } = setup;
  return typeof host === "string" ? host : (host[index] ?? "127.0.0.1");
}

function prefixOf(setup: ZookeeperSetup, index: number): readonly string[] {
  const { prefix = [] } = setup;
  const one = prefix.filter((word) => typeof word === "string");
  return one.length === prefix.length ? one : ((prefix[index] as readonly string[] | undefined) ?? []);
}

async function choosePorts(setup: ZookeeperSetup): Promise<readonly ZookeeperPorts[]> {
  const { servers, ports } = setup;
  if (ports !== undefined && ports.length !== servers)
    throw new MidotraceError(
      "INTERNAL",
      `${servers} ZooKeeper servers need as many sets of ports, not ${ports.length}`,
    );
  if (ports !== undefined) return ports;
  const indexes = Array.from({ length: servers }, (_, i) => i);
  if (setup.prefix !== undefined && setup.prefix.length > 0)
    return indexes.map((i) => ({ client: 2181 + i, peer: 2888 + i, election: 3888 + i, secure: 2281 + i }));
  const free = await Promise.all(indexes.map((i) => freePorts(hostOf(setup, i), 4)));
  return free.map(([client = 0, peer = 0, election = 0, secure = 0]) => ({ client, peer, election, secure }));
}

/** Ports that nobody listens on at this moment; all different. */
async function freePorts(host: string, count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(
    servers.map(
      (server) => new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, host, resolve)),
    ),
  );
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
