import { lstat } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { listTestbeds, testbedMissing, zookeeperMissing } from "#adapters/testbed";
import { MidotraceError } from "#core/base";

const NETNS_DIR = "/run/netns";

/**
 * What would keep a lab with these VMs from standing on this machine, told before anything is made.
 * @throws MidotraceError NOT_FOUND with what is missing and how to get it; CONFLICT when a VM's name is taken.
 */
export async function requirePossible(vms: readonly string[]): Promise<void> {
  const missing = testbedMissing() ?? zookeeperMissing();
  if (missing !== null) throw new MidotraceError("NOT_FOUND", missing);
  for (const name of vms) if (await exists(join(NETNS_DIR, name))) throw await taken(name);
}

async function taken(name: string): Promise<MidotraceError> {
  const labs = await listTestbeds();
  const owner = labs.find((t) => t.namespaces.includes(`mt-${t.labId}-${name}`));
  if (owner === undefined)
    return new MidotraceError("CONFLICT", `VM ${name}: this machine has a network namespace ${name} already`);
  const what = owner.inUse
    ? `lab ${owner.labId} (process ${owner.makerPid}) runs and has a VM of this name: end it, or give this lab's VMs other names`
    : `lab ${owner.labId} crashed and left it behind: midotrace lab clean removes that`;
  return new MidotraceError("CONFLICT", `VM ${name}: ${what}`);
}

/**
 * A port that nobody listens on: the API server is another process, and whoever answered there in its place would be
 * taken for it.
 *
 * @param port 0: any.
 * @throws Error of Node.js (EADDRINUSE, EACCES …) when it cannot be had.
 */
export function freePort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, host, () => {
      const { port: free } = server.address() as AddressInfo;
      server.close(() => resolve(free));
    });
  });
}

const exists = async (path: string): Promise<boolean> => (await lstat(path).catch(() => null)) !== null;
