import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { hasCommand, testbedMissing, toolEnvironment, zookeeperMissing } from "#adapters/testbed";

/** This machine and what of the real parts is on it. */

const JAR = process.env["MIDOTRACE_ZOOKEEPER_CLASSPATH"] ?? "/usr/share/java/zookeeper.jar";

/** First line of what a program says of itself. */
function said(command: string, ...args: readonly string[]): string {
  try {
    const text = execFileSync(command, args, {
      env: toolEnvironment(),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return text.trim().split("\n")[0] ?? "";
  } catch {
    return "";
  }
}

const orNone = (version: string): string => (version === "" ? "none" : version);
const lastWord = (text: string): string => text.split(" ").at(-1) ?? "";

export function machine(): string {
  const cores = cpus();
  const ovs = lastWord(said("ovs-vswitchd", "--version"));
  const zookeeper = existsSync(JAR.split(":")[0] ?? "")
    ? said("java", "-cp", JAR, "org.apache.zookeeper.Version", "--short")
    : "";
  return [
    `${cores[0]?.model ?? "unknown CPU"}, ${cores.length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Node ${process.version}, Linux ${release()}`,
    `Open vSwitch ${orNone(ovs)}, ZooKeeper ${orNone(zookeeper)}`,
  ].join("\n");
}

/** What else runs here: processes that want a core, on average over the last minute. */
export const load = (): string => `load ${(loadavg()[0] ?? 0).toFixed(1)}`;

const PACKAGES = {
  iperf3: "iperf3",
  "osken-manager": "python3-os-ken",
  "ovs-testcontroller": "openvswitch-testcontroller",
  ping: "iputils-ping",
  python3: "python3",
  taskset: "util-linux",
} as const;
export type Tool = keyof typeof PACKAGES;

/** What of these is not here, with the command that installs it; null: nothing. */
export function toolsMissing(...tools: readonly Tool[]): string | null {
  const absent = tools.filter((tool) => !hasCommand(tool));
  if (absent.length === 0) return null;
  const packages = [...new Set(absent.map((tool) => PACKAGES[tool]))].join(" ");
  return `${absent.join(", ")} not found: apt-get install ${packages}`;
}

/** As `toolsMissing`, for a lab on real parts. */
export const labMissing = (...tools: readonly Tool[]): string | null =>
  testbedMissing() ?? zookeeperMissing() ?? toolsMissing(...tools);
