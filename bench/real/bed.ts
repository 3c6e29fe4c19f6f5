import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { parseVmTable, RealLab } from "#apps/lab";
import { freePort } from "./processes.ts";
import type { Scope } from "./scope.ts";

/** Rows of the lab's table of VMs. */
export interface Vm {
  readonly name: string;
  readonly port: string;
  readonly mac: string;
  readonly ip: string;
  readonly gateway?: string;
}

/**
 * Hosts with Open vSwitch, VMs, ZooKeeper, API server and `midotrace agent` processes, all of them ready; gone with the
 * scope. Names of VMs are taken on the whole machine.
 */
export async function bed(scope: Scope, topology: object, vms: readonly Vm[]): Promise<RealLab> {
  const lab = new RealLab({
    topology,
    vms: parseVmTable({ vms: vms.map((vm) => ({ ...vm, listen: [] })) }),
    listen: { host: "127.0.0.1", port: await freePort() },
    zookeepers: 1,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    warn: (message) => console.error(message),
    progress: () => undefined,
    stop: scope.signal,
  });
  const started = lab.start();
  scope.defer(async () => {
    // It removes what it made itself when its start fails.
    await started.catch(() => undefined);
    await lab.stop();
  });
  await started;
  return lab;
}

/** A request to the lab's API. @throws Error with the answer when it is none of success. */
export async function call<T>(lab: RealLab, method: "POST" | "PUT", path: string, body: unknown): Promise<T> {
  const response = await fetch(path.startsWith("http") ? path : `${lab.url}/midonet-api${path}`, {
    method,
    headers: { accept: "application/json", "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} was answered with ${response.status}: ${text}`);
  return (text === "" ? null : JSON.parse(text)) as T;
}

/** Of a host's agent, without `midotrace_agent_`. */
export async function metric(lab: RealLab, host: string, name: string): Promise<number> {
  const text = await (await fetch(`${lab.host(host).statusUrl}/metrics`)).text();
  const value = new RegExp(`^midotrace_agent_${name} (\\d+)$`, "m").exec(text)?.[1];
  if (value === undefined) throw new Error(`the agent of ${host} has no metric ${name}`);
  return Number(value);
}
