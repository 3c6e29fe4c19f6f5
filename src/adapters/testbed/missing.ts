import { readFileSync } from "node:fs";
import { hasCommand } from "./command.ts";

/** Each tool that a testbed runs, and Debian's package of it. */
const TOOLS: readonly (readonly [command: string, packageName: string])[] = [
  ["ip", "iproute2"],
  ["tc", "iproute2"],
  ["ethtool", "ethtool"],
  ["ovsdb-tool", "openvswitch-common"],
  ["ovsdb-server", "openvswitch-switch"],
  ["ovs-vswitchd", "openvswitch-switch"],
  ["ovs-vsctl", "openvswitch-switch"],
  ["ovs-appctl", "openvswitch-common"],
];

/** What keeps this machine from running a testbed, with the command that helps; null: nothing. */
export function testbedMissing(): string | null {
  if (process.platform !== "linux") return "network namespaces need Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root: run it with sudo";
  if (!mayMakeNamespaces())
    return "this root may not make network namespaces: give the container CAP_SYS_ADMIN and CAP_NET_ADMIN";
  const missing = TOOLS.filter(([command]) => !hasCommand(command));
  if (missing.length === 0) return null;
  const commands = missing.map(([command]) => command).join(", ");
  const packages = [...new Set(missing.map(([, packageName]) => packageName))].join(" ");
  return `${commands} not found: apt-get install ${packages}`;
}

const CAP_NET_ADMIN = 1n << 12n;
const CAP_SYS_ADMIN = 1n << 21n;

/** Root of a container often lacks what it takes: capabilities(7), proc(5). */
function mayMakeNamespaces(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  const needed = CAP_NET_ADMIN | CAP_SYS_ADMIN;
  return effective === undefined || (BigInt(`0x${effective}`) & needed) === needed;
}
