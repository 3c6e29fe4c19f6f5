import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { run, until } from "#adapters/testbed";
import type { RealHost, RealLab } from "#apps/lab";
import { median } from "../measure.ts";
import type { Memory } from "./agent-process.ts";
import { bed } from "./bed.ts";
import { Contestant } from "./controllers.ts";
import { at, heard, kept } from "./processes.ts";
import { type Aim, number, spread } from "./report.ts";
import type { Scope } from "./scope.ts";

const AIM_IDLE_MB = 120;
const MB = 1_000_000;
const READY_MS = 30_000;
const HOSTS = ["h1", "h2", "h3"];

/** Memory of agents that have nothing to do, and what flows add to it. */
export async function memory(scope: Scope, quick: boolean): Promise<Aim[]> {
  const settleMs = quick ? 3_000 : 30_000;
  const lab = await threeHosts(scope);
  await sleep(settleMs, undefined, { signal: scope.signal });
  const source = lab.hosts.map(({ name, agent }) => residentMb(agent.pid, name));
  await run(process.execPath, [at("../../node_modules/typescript/bin/tsc"), "-b", at("../../tsconfig.build.json")], {
    timeoutMs: 300_000,
    signal: scope.signal,
  });
  const children = await Promise.all(lab.hosts.map((host) => installedAgent(scope, lab, host)));
  await sleep(settleMs, undefined, { signal: scope.signal });
  const installed = children.map((child, i) => residentMb(child.pid ?? null, HOSTS[i] ?? ""));
  console.log(
    `  idle \`midotrace agent\`, median (range) of ${HOSTS.length} processes ${settleMs / 1000} s after the start, MB resident`,
  );
  console.log(`    built, as it is installed              ${spread(installed, 1)}`);
  console.log(`    run from source (with Node's compiler) ${spread(source, 1)}`);
  await flows(scope, quick ? [2_000, 10_000] : [20_000, 120_000]);
  const mb = median(installed);
  return [{ what: `(e) ${number(mb, 1)} MB for an idle agent, less than ${AIM_IDLE_MB}`, held: mb < AIM_IDLE_MB }];
}

/** A host's agent, as the built program: in the place of the lab's. */
async function installedAgent(scope: Scope, lab: RealLab, host: RealHost): Promise<ChildProcess> {
  await host.agent.stop();
  const options = {
    store: lab.storeUrl,
    "host-id": host.id,
    "host-name": host.name,
    "tunnel-ip": host.machine.tunnelIp,
    "ovs-run-dir": host.machine.runDir,
    "state-dir": await lab.testbed.directory(`${host.name}-installed`),
    listen: new URL(host.statusUrl).host,
    "log-level": "error",
  };
  const args = Object.entries(options).flatMap(([key, value]) => [`--${key}`, value]);
  const { namespace } = host.machine;
  const program = [at("../../dist/apps/cli/main.js"), "agent", ...args];
  const child = kept(
    scope,
    await namespace.spawn(process.execPath, program, { stdio: ["ignore", "ignore", "inherit"] }),
  );
  await until(`the built agent of ${host.name}`, READY_MS, async () => {
    if (child.exitCode !== null) throw new Error(`the built agent of ${host.name} ended with ${child.exitCode}`);
    return (await fetch(`${host.statusUrl}/readyz`).catch(() => null))?.ok === true ? true : null;
  });
  return child;
}

function residentMb(pid: number | null, host: string): number {
  if (pid === null) throw new Error(`the agent of ${host} does not run`);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / MB;
}

function threeHosts(scope: Scope): Promise<RealLab> {
  const port = (host: string): object => ({ name: host, bind: { host, interface: "tap1" } });
  const address = (i: number): string => `192.0.2.${i + 1}`;
  const topology = {
    hosts: HOSTS.map((name) => ({ name })),
    tunnelZones: [{ name: "tz", type: "vxlan", hosts: Object.fromEntries(HOSTS.map((h, i) => [h, address(i)])) }],
    bridges: [{ name: "b", ports: HOSTS.map(port) }],
  };
  const vms = HOSTS.map((host, i) => {
    return { name: `bench-mem-${host}`, port: `b/${host}`, mac: `02:00:00:00:05:0${i}`, ip: `10.0.5.${i + 1}/24` };
  });
  return bed(scope, topology, vms);
}

/** An agent at an emulated switch that never forgets a flow, with so many of them, and with as many more. */
async function flows(scope: Scope, [few, many]: readonly [number, number]): Promise<void> {
  const agent = await Contestant.agent(scope, "our agent", 10 * many);
  const upTo = async (wanted: number): Promise<Memory> => {
    for (;;) {
      agent.controller.send("memory");
      const now = await heard<Memory>(agent.controller);
      if (now.flows >= wanted) return now;
      await agent.run({ window: 128, ms: 100 });
    }
  };
  const [before, after] = [await upTo(few), await upTo(many)];
  const per = (what: (m: Memory) => number): string =>
    number(((what(after) - what(before)) / (after.flows - before.flows)) * (10_000 / MB), 1);
  console.log(
    `  per 10,000 flows ${per((m) => m.usedBytes)} MB in use after a collection, ${per((m) => m.rssBytes)} MB resident` +
      ` (from ${number(before.flows)} to ${number(after.flows)} flows)`,
  );
}
