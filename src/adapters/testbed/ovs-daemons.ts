import type { ChildProcess } from "node:child_process";
import { readFile, rm, stat } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { MidotraceError } from "#core/base";
import { endChild, run, type RunResult, until } from "./command.ts";
import type { NetworkNamespace } from "./namespace.ts";

const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";
const START_MS = 10_000;

/**
 * ovsdb-server and ovs-vswitchd of one host, with sockets, pid files, logs and database in a directory of their own, as
 * they lie in /run/openvswitch on a real host. They are children of this process; killed ones stay dead until started.
 */
export class OvsDaemons {
  readonly runDir: string;
  private readonly namespace: NetworkNamespace;
  private readonly kernelDatapath: boolean;
  private database: ChildProcess | null = null;
  private switchd: ChildProcess | null = null;

  /** `kernelDatapath` false: the daemon is told that this machine has none. */
  constructor(namespace: NetworkNamespace, runDir: string, kernelDatapath: boolean) {
    this.namespace = namespace;
    this.runDir = runDir;
    this.kernelDatapath = kernelDatapath;
  }

  get databaseSocket(): string {
    return join(this.runDir, "db.sock");
  }

  get databasePid(): number | null {
    return running(this.database);
  }

  get switchPid(): number | null {
    return running(this.switchd);
  }

  /** Starts ovsdb-server, with an empty database when there is none yet. Nothing happens when it runs. */
  async startDatabase(): Promise<void> {
    if (this.databasePid !== null) return;
    const file = join(this.runDir, "conf.db");
    const fresh = (await stat(file).catch(() => null)) === null;
    if (fresh) await run("ovsdb-tool", ["create", file, SCHEMA], { env: this.env });
    await rm(this.databaseSocket, { force: true });
    const args = [
      file,
      `--remote=punix:${this.databaseSocket}`,
      "--pidfile",
      "--log-file",
      "--no-chdir",
      "-vconsole:off",
    ];
    const child = await this.namespace.spawn("ovsdb-server", args, { env: this.env, detached: true });
    this.database = child;
    await this.answers("ovsdb-server", child, () => connects(this.databaseSocket));
    if (fresh) await this.vsctl(["--no-wait", "init"]);
  }

  /** Starts ovs-vswitchd; resolves when it has put the database's configuration into force. */
  async startSwitch(): Promise<void> {
    if (this.switchPid !== null) return;
    const args = [`unix:${this.databaseSocket}`, "--pidfile", "--log-file", "--no-chdir", "-vconsole:off"];
    if (!this.kernelDatapath) args.push("--disable-system");
    const child = await this.namespace.spawn("ovs-vswitchd", args, { env: this.env, detached: true });
    this.switchd = child;
    await this.answers("ovs-vswitchd", child, async () => (await this.switchControl()) !== null);
    // A change, any: ovs-vsctl waits until the daemon has it in force, and with it everything before.
    await this.vsctl(["set", "Open_vSwitch", ".", `external_ids:testbed-pid=${child.pid}`]);
  }

  /** Ends ovsdb-server by `signal` and waits for its end. */
  async killDatabase(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.database !== null) await endChild(this.database, signal);
    this.database = null;
  }

  /** Ends ovs-vswitchd by `signal` and waits for its end. With a userspace datapath its devices vanish with it. */
  async killSwitch(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.switchd !== null) await endChild(this.switchd, signal);
    this.switchd = null;
  }

  /** Both, in the order in which a host goes down. */
  async stop(): Promise<void> {
    await this.killSwitch("SIGTERM");
    await this.killDatabase("SIGTERM");
  }

  /** ovs-vsctl on this host's database. @throws see `run`. */
  vsctl(args: readonly string[]): Promise<RunResult> {
    return run("ovs-vsctl", [`--db=unix:${this.databaseSocket}`, "--timeout=10", ...args], { env: this.env });
  }

  /** ovs-appctl to this host's ovs-vswitchd. @throws MidotraceError INTERNAL, also when it does not run. */
  async appctl(args: readonly string[]): Promise<RunResult> {
    const socket = await this.switchControl();
    if (socket === null) throw new MidotraceError("INTERNAL", "ovs-vswitchd does not run");
    return run("ovs-appctl", ["-t", socket, ...args], { env: this.env });
  }

  /** ovs-ofctl (`dump-flows` …) on one of this host's bridges. */
  ofctl(command: string, bridge: string, ...args: readonly string[]): Promise<RunResult> {
    const target = `unix:${join(this.runDir, `${bridge}.mgmt`)}`;
    return run("ovs-ofctl", ["-O", "OpenFlow13", command, target, ...args], { env: this.env });
  }

  private get env(): Record<string, string> {
    return { OVS_RUNDIR: this.runDir, OVS_LOGDIR: this.runDir, OVS_DBDIR: this.runDir };
  }

  private async switchControl(): Promise<string | null> {
    const pid = await readFile(join(this.runDir, "ovs-vswitchd.pid"), "utf8").catch(() => "");
    if (this.switchPid === null || Number(pid) !== this.switchPid) return null;
    const socket = join(this.runDir, `ovs-vswitchd.${this.switchPid}.ctl`);
    return (await connects(socket)) ? socket : null;
  }

  private answers(what: string, child: ChildProcess, ready: () => Promise<boolean>): Promise<true> {
    return until(`${what} in ${this.runDir}`, START_MS, async () => {
      if (running(child) === null) throw new MidotraceError("INTERNAL", `${what} ended: see its log in ${this.runDir}`);
      return (await ready()) ? true : null;
    });
  }
}

function running(child: ChildProcess | null): number | null {
  return child === null || child.exitCode !== null || child.signalCode !== null ? null : (child.pid ?? null);
}

function connects(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
