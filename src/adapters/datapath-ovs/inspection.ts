import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import type { Clock, Scheduler } from "#core/base";
import { decodeRpc, describeError, encodeRequest, JsonTexts, Malformed, OvsdbSession } from "#protocols/ovsdb";
import { chooseDatapath, type DatapathChoice } from "./datapath-choice.ts";
import { OWNER_KEY, planSwitch } from "./switch-plan.ts";
import { type BridgeRow, rootOf, type SwitchRows, TABLES } from "./switch-tables.ts";
import { switchPid } from "./unixctl.ts";

export interface InspectedPort {
  readonly name: string;
  readonly type: string;
  /** Null: the switch has given it no number, see `error`. */
  readonly ofport: number | null;
  readonly error: string | null;
}

export interface InspectedBridge {
  readonly name: string;
  readonly datapathType: "system" | "netdev";
  /** An agent made it, or took it over. */
  readonly ours: boolean;
  readonly ports: readonly InspectedPort[];
}

/** What the switch's database says. */
export interface InspectedDatabase {
  readonly bridges: readonly InspectedBridge[];
  /** ovs-vswitchd has done everything that the database asks for. */
  readonly applied: boolean;
  /** What the agent would take; null: the daemon has not told what it can do. */
  readonly choice: DatapathChoice | null;
  /** What keeps the agent from its bridge, in an operator's words. */
  readonly blocked: readonly string[];
}

/** Exactly one of value and trouble is not null. */
export type Looked<T> =
  | { readonly value: T; readonly trouble: null }
  | { readonly value: null; readonly trouble: string };

export interface InspectOptions {
  readonly runDir: string;
  readonly bridge: string;
  readonly datapath: "auto" | "system" | "netdev";
  /** Dotted; null: not known. */
  readonly tunnelIp: string | null;
  /** Whether the kernel's datapath is there or would be loaded. */
  readonly module: boolean;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly timeoutMs: number;
}

/** Reads the switch's database once; changes nothing. */
export async function inspectDatabase(options: InspectOptions): Promise<Looked<InspectedDatabase>> {
  const looked = await readRows(options);
  if (looked.value === null) return looked;
  const rows = looked.value;
  const { bridge, datapath, module, tunnelIp } = options;
  const choice = chooseDatapath(datapath, rows, bridge, module);
  const desired = {
    bridge,
    datapathType: choice?.type ?? "system",
    tunnelIp: tunnelIp ?? "0.0.0.0",
    devices: null,
  };
  const root = rootOf(rows)?.row;
  const value: InspectedDatabase = {
    bridges: [...rows.Bridge.values()].map((row) => inspected(rows, row)),
    applied: root !== undefined && root.cur_cfg >= root.next_cfg,
    choice,
    blocked: planSwitch(rows, desired).blocked,
  };
  return { value, trouble: null };
}

function inspected(rows: SwitchRows, row: BridgeRow): InspectedBridge {
  const interfaces = row.ports.flatMap((id) => rows.Port.get(id)?.interfaces ?? []);
  return {
    name: row.name,
    datapathType: row.datapath_type === "netdev" ? "netdev" : "system",
    ours: row.external_ids.get(OWNER_KEY) === row.name,
    ports: interfaces.flatMap((id): InspectedPort[] => {
      const found = rows.Interface.get(id);
      if (found === undefined) return [];
      const { name, type, ofport, error } = found;
      return [{ name, type, ofport: ofport !== null && ofport > 0 ? ofport : null, error }];
    }),
  };
}

/** @returns the version that the running daemon says of itself, as "3.1.0". */
export async function inspectDaemon(
  runDir: string,
  scheduler: Scheduler,
  timeoutMs: number,
): Promise<Looked<{ readonly pid: number; readonly version: string }>> {
  const pid = await switchPid(runDir);
  if (pid === null) return trouble(`there is no pid file ${join(runDir, "ovs-vswitchd.pid")}`);
  if (!existsSync(`/proc/${pid}`)) return trouble(`its process ${pid} is gone`);
  const texts = new JsonTexts();
  const path = join(runDir, `ovs-vswitchd.${pid}.ctl`);
  return talk<{ readonly pid: number; readonly version: string }>(path, scheduler, timeoutMs, {
    connected: (send) => {
      send(encodeRequest(1, "version", []));
      return null;
    },
    received: (chunk) => {
      for (const text of texts.push(chunk)) {
        const reply = text instanceof Malformed ? text : decodeRpc(text);
        if (reply instanceof Malformed) return trouble(reply.reason);
        if (reply.kind !== "reply") return trouble("it sent something unexpected");
        if (reply.error !== null) return trouble(describeError(reply.error));
        return found({ pid, version: /\d+\.\d+\S*/.exec(String(reply.result))?.[0] ?? "unknown" });
      }
      return null;
    },
  });
}

/** Whether the bridge's OpenFlow socket takes connections; null: it does. */
export async function inspectManagement(
  runDir: string,
  bridge: string,
  scheduler: Scheduler,
  timeoutMs: number,
): Promise<string | null> {
  const path = join(runDir, `${bridge}.mgmt`);
  const { trouble: why } = await talk<true>(path, scheduler, timeoutMs, {
    connected: () => found(true),
    received: () => null,
  });
  return why;
}

export type ModuleState = "loaded" | "loadable" | "missing" | "unknown";

/** Of the kernel's datapath; loads nothing. */
export async function inspectModule(): Promise<ModuleState> {
  if (existsSync("/sys/module/openvswitch")) return "loaded";
  return new Promise((resolve) => {
    const child = spawn("modprobe", ["-n", "-q", "openvswitch"], { stdio: "ignore", timeout: 5000 });
    child.on("error", () => resolve("unknown"));
    child.on("close", (code) => resolve(code === 0 ? "loadable" : code === null ? "unknown" : "missing"));
  });
}

async function readRows(o: InspectOptions): Promise<Looked<SwitchRows>> {
  const session = new OvsdbSession({ database: "Open_vSwitch", tables: TABLES });
  type Effects = ReturnType<typeof session.open>;
  let send: (bytes: Uint8Array) => void = () => undefined;
  const perform = (effects: Effects): Looked<SwitchRows> | null => {
    for (const effect of effects) {
      if (effect.kind === "send") send(effect.bytes);
      else if (effect.kind === "ready") return found(session.rows);
      else if (effect.kind === "ended") return trouble(effect.reason);
    }
    return null;
  };
  return talk<SwitchRows>(join(o.runDir, "db.sock"), o.scheduler, o.timeoutMs, {
    connected: (write) => {
      send = write;
      return perform(session.open(o.clock.monotonicMs()));
    },
    received: (chunk) => perform(session.receive(chunk, o.clock.monotonicMs())),
  });
}

interface Talk<T> {
  /** Null: the talk goes on. */
  readonly connected: (send: (bytes: Uint8Array) => void) => Looked<T> | null;
  readonly received: (chunk: Buffer) => Looked<T> | null;
}

/** One short conversation at a Unix socket. */
function talk<T>(path: string, scheduler: Scheduler, timeoutMs: number, part: Talk<T>): Promise<Looked<T>> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    const end = (result: Looked<T> | null): void => {
      if (result === null) return;
      timer.cancel();
      socket.destroy();
      resolve(result);
    };
    const timer = scheduler.after(timeoutMs, () => end(trouble(`${path} does not answer`)));
    socket.on("connect", () => end(part.connected((bytes) => socket.write(bytes))));
    socket.on("data", (chunk: Buffer) => end(part.received(chunk)));
    socket.on("error", (error: NodeJS.ErrnoException) => end(trouble(inWords(path, error))));
    socket.on("close", () => end(trouble(`${path}: the other side closed the connection`)));
  });
}

const found = <T>(value: T): Looked<T> => ({ value, trouble: null });
const trouble = (why: string): { readonly value: null; readonly trouble: string } => ({ value: null, trouble: why });

function inWords(path: string, error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") return `there is no socket ${path}`;
  if (error.code === "ECONNREFUSED") return `nobody listens at ${path}`;
  if (error.code === "EACCES") return `no permission for ${path}`;
  return `${path}: ${error.message}`;
}
