import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { TUNNEL_NAME } from "./switch-plan.ts";
import { bridgeOf, portsOf, rootOf, type SwitchRows } from "./switch-tables.ts";

export type DatapathType = "system" | "netdev";

export interface DatapathChoice {
  readonly type: DatapathType;
  readonly because: string;
}

/**
 * The kernel's datapath where there is one. The daemon's own list of `datapath_types` has "system" also on a machine
 * without the module (seen with 3.1), but lacks it where the daemon was told to do without (`--disable-system`); so
 * module and list must agree. A bridge of ours that works is left as it is: another type would begin it anew.
 *
 * @param module whether the kernel's module is loaded.
 * @returns null while the daemon has not told what it can do.
 */
export function chooseDatapath(
  wanted: "auto" | DatapathType,
  rows: SwitchRows,
  bridge: string,
  module: boolean,
): DatapathChoice | null {
  if (wanted !== "auto") return { type: wanted, because: "configured" };
  const found = bridgeOf(rows, bridge);
  const tunnel = found === null ? undefined : portsOf(rows, found.row).find((p) => p.interface.name === TUNNEL_NAME);
  if (found !== null && (tunnel?.interface.ofport ?? 0) > 0)
    return { type: found.row.datapath_type === "netdev" ? "netdev" : "system", because: "bridge and tunnel have it" };
  const types = rootOf(rows)?.row.datapath_types ?? [];
  if (types.length === 0) return null;
  if (!module) return { type: "netdev", because: "the kernel module openvswitch is not loaded" };
  if (!types.includes("system")) return { type: "netdev", because: "ovs-vswitchd does not offer the kernel's" };
  return { type: "system", because: "the kernel module openvswitch is loaded" };
}

/** Whether the kernel's datapath is there, loaded on demand. */
export async function kernelModule(): Promise<boolean> {
  const loaded = (): boolean => existsSync("/sys/module/openvswitch");
  if (loaded()) return true;
  await new Promise<void>((resolve) => {
    const child = spawn("modprobe", ["-q", "openvswitch"], { stdio: "ignore", timeout: 10_000 });
    child.on("error", () => resolve());
    child.on("close", () => resolve());
  });
  return loaded();
}
