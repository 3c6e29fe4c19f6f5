/** A machine on which a guide is played: namespaces of network, files, processes and name, with the real paths inside. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  endChild,
  type NetworkNamespace,
  type Testbed,
  toolEnvironment,
  type Underlay,
  until,
} from "#adapters/testbed";

const ROOT = join(import.meta.dirname, "../..");
/** Not below node_modules, where Node.js runs no TypeScript: `npm install -g DIR` makes a link of it, too. */
const CHECKOUT = "/usr/local/share/midotrace";

/**
 * Run in the machine's own namespaces: what it writes to goes to memory, and is gone with it. /etc begins as this
 * machine's; of /var/lib Debian's package lists stay. /usr/local is what `npm install -g` makes of this checkout.
 */
const SETUP = `
set -e
# Namespaces of others, which this would keep alive.
umount -n -R -l /run/netns 2>/dev/null || true
stage=$(mktemp -d)
fresh() { mount -n -t tmpfs tmpfs "$stage"; }
into() { mount -n --move "$stage" "$1"; }
fresh; mkdir -p "$stage/bin" "$stage/lib/node_modules" "$stage/share/midotrace"
mount -n --bind "$1" "$stage/share/midotrace"
ln -s ../../share/midotrace "$stage/lib/node_modules/midotrace"
ln -s ../lib/node_modules/midotrace/bin/midotrace.js "$stage/bin/midotrace"
ln -s ../lib/node_modules/midotrace/node_modules/node/bin/node "$stage/bin/node"
printf '#!/bin/sh\\nexec node ${CHECKOUT}/test/support/systemctl.ts "$@"\\n' > "$stage/bin/systemctl"
chmod 755 "$stage/bin/systemctl"
into /usr/local
fresh; cp -a /etc/. "$stage"; rm -rf "$stage/openvswitch" "$stage/midotrace"; into /etc
fresh; mkdir -p "$stage/dpkg" "$stage/zookeeper"; mount -n --bind /var/lib/dpkg "$stage/dpkg"
# As Debian's package zookeeper has it.
ln -s /etc/zookeeper/conf/myid "$stage/zookeeper/myid"; into /var/lib
fresh; into /var/log; mkdir -p /var/log/openvswitch
fresh; into /run
fresh; into /root
hostname "$2"
rmdir "$stage"
echo ready
exec sleep infinity
`;

export interface Played {
  readonly output: string;
  /** Each command that failed, with what it was. */
  readonly failed: readonly string[];
}

export class GuideMachine {
  readonly name: string;
  private readonly pid: number;

  private constructor(name: string, pid: number) {
    this.name = name;
    this.pid = pid;
  }

  /** With a card in the underlay that has an address already. */
  static async create(
    testbed: Testbed,
    underlay: Underlay,
    name: string,
    nic: string,
    address: string,
  ): Promise<GuideMachine> {
    const namespace = await testbed.namespace(name);
    const [ip = ""] = address.split("/");
    const mac = ["02", "50", ...ip.split(".").map((b) => Number(b).toString(16).padStart(2, "0"))].join(":");
    await underlay.attach(name, namespace, nic, mac, ip);
    await namespace.ip(`address add ${address} dev ${nic}`);
    const holder = await hold(namespace, name);
    testbed.onClose(() => endChild(holder, "SIGKILL"));
    return new GuideMachine(name, await inside(holder));
  }

  /**
   * Plays a block in this machine's shell: what it assigned is known to the blocks after it. Each command that fails is
   * told, and the block goes on, as it would for somebody who types it.
   */
  async play(text: string, timeoutMs: number): Promise<Played> {
    const state = "/root/.guide-state";
    const script = [
      `[ -e ${state} ] && . ${state}`,
      "set -E",
      `trap 'echo "$BASH_COMMAND" >&3' ERR`,
      text,
      `trap - ERR`,
      `set +E`,
      `declare -p N ADDRESS 2>/dev/null > ${state} || true`,
    ].join("\n");
    return this.shell(script, timeoutMs);
  }

  /** Runs a script of ours on the machine; its output. @throws Error when it fails. */
  async run(script: string, timeoutMs = 20_000): Promise<string> {
    const { output, failed } = await this.shell(`set -eE; trap 'echo "$BASH_COMMAND" >&3' ERR\n${script}`, timeoutMs);
    if (failed.length > 0) throw new Error(`${this.name}: ${failed.join(", ")}\n${output}`);
    return output;
  }

  private async shell(script: string, timeoutMs: number): Promise<Played> {
    const target = ["--target", String(this.pid), "--mount", "--uts", "--net", "--pid"];
    const bash = ["bash", "--noprofile", "--norc", "-c", `cd /root\n${script}`];
    const env = toolEnvironment({
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/root",
    });
    // Files, since a service that is started keeps what it inherits: a pipe would never end.
    const directory = mkdtempSync(join(tmpdir(), "midotrace-guide-"));
    const files = [join(directory, "output"), join(directory, "failed")] as const;
    const [output, failed] = files.map((file) => openSync(file, "a"));
    try {
      const child = spawn("nsenter", [...target, "--", ...bash], { env, stdio: ["ignore", output, output, failed] });
      const late = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
      const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
      clearTimeout(late);
      const [said, told] = files.map((file) => readFileSync(file, "utf8"));
      const commands = (told ?? "").split("\n").filter((c) => c !== "");
      if (signal !== null) commands.push(`not done within ${timeoutMs} ms`);
      else if (code !== 0 && commands.length === 0) commands.push(`the shell ended with ${code}`);
      return { output: said ?? "", failed: commands };
    } finally {
      for (const file of [output, failed]) if (file !== undefined) closeSync(file);
      rmSync(directory, { recursive: true });
    }
  }
}

async function hold(namespace: NetworkNamespace, name: string): Promise<ChildProcess> {
  const own = [
    "unshare",
    "--mount",
    "--propagation",
    "slave",
    "--uts",
    "--pid",
    "--fork",
    "--kill-child=SIGKILL",
    "--mount-proc",
  ];
  const args = ["--pdeathsig", "KILL", "--", ...own, "bash", "-c", SETUP, "setup", ROOT, name];
  const holder = await namespace.spawn("setpriv", args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  holder.stdout?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  holder.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await until(`machine ${name}`, 10_000, () => {
    if (holder.exitCode !== null || holder.signalCode !== null) throw new Error(`machine ${name} ended: ${said}`);
    return said.endsWith("ready\n") ? true : null;
  });
  return holder;
}

/** The process that is the first one inside. */
async function inside(holder: ChildProcess): Promise<number> {
  return until("the machine's first process", 5_000, () => {
    const children = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8").trim();
    return children === "" ? null : Number(children.split(" ")[0]);
  });
}
