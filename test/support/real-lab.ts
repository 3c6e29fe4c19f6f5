/** What tests on real switches, kernels and processes share: a lab of their own, users of its API, patience. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { parse } from "yaml";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { hasCommand, type RunResult, testbedMissing, type VmNamespace, zookeeperMissing } from "#adapters/testbed";
import { parseVmTable, type RealHost, RealLab } from "#apps/lab";
import type { FlowPageDto } from "#core/api-contract";
import { formatIpv4 } from "#core/packets";
import type { PublicFlowTrace } from "#core/tracing";
import { soon } from "./ovs-testbed.ts";

/** Debian's package of each command that such tests may ask for besides what a testbed needs. */
const PACKAGES = {
  curl: "curl",
  iperf3: "iperf3",
  ping: "iputils-ping",
  python3: "python3",
  traceroute: "traceroute",
  tshark: "tshark",
} as const;

export type LabTool = keyof typeof PACKAGES;

/**
 * For `skip` of a test that needs a lab on real parts and these commands.
 * @throws Error instead of skipping where `MIDOTRACE_REQUIRE_ALL=1` says that nothing may be skipped.
 */
export function skipWithoutLab(...tools: readonly LabTool[]): string | false {
  const absent = tools.filter((tool) => !hasCommand(tool));
  const packages = absent.map((tool) => PACKAGES[tool]).join(" ");
  const commands = absent.length === 0 ? null : `${absent.join(", ")} not found: apt-get install ${packages}`;
  const missing = testbedMissing() ?? zookeeperMissing() ?? commands;
  if (missing === null) return false;
  if (process.env["MIDOTRACE_REQUIRE_ALL"] === "1") throw new Error(`MIDOTRACE_REQUIRE_ALL=1, but ${missing}`);
  return missing;
}

/** How long anything may take on a loaded machine, ms. */
const PATIENCE_MS = 30_000;

/** Retries until no assertion fails. Asks slowly: what is waited for needs the processor too. */
export const eventually = <T>(fn: () => Promise<T>, deadlineMs = PATIENCE_MS): Promise<T> => soon(fn, deadlineMs);

/** Does it and says how long it took. */
export async function timed<T>(t: TestContext, what: string, fn: () => Promise<T>): Promise<T> {
  const began = performance.now();
  try {
    return await fn();
  } finally {
    t.diagnostic(`${what}: ${((performance.now() - began) / 1000).toFixed(2)} s`);
  }
}

export interface LabPlan {
  /** A topology document, YAML. */
  readonly topology: string;
  /** A table of VMs, YAML. Their names are taken on the whole machine: distinct in every file of tests. */
  readonly vms: string;
  /** Servers of the ensemble; default 1. */
  readonly zookeepers?: 1 | 3;
}

export type DeviceKind = "bridge" | "router" | "port";

/** A lab of three hosts or however many its plan has, for one file of tests. */
export class TestLab {
  readonly lab: RealLab;
  /** Daemons that ended without having been told to, with their last words. */
  readonly complaints: string[];

  private constructor(lab: RealLab, complaints: string[]) {
    this.lab = lab;
    this.complaints = complaints;
  }

  /** @throws see `RealLab.start`; nothing is left behind then. */
  static async start(plan: LabPlan): Promise<TestLab> {
    const complaints: string[] = [];
    const lab = new RealLab({
      topology: parse(plan.topology),
      vms: parseVmTable(parse(plan.vms)),
      listen: { host: "127.0.0.1", port: await freePort() },
      zookeepers: plan.zookeepers ?? 1,
      clock: systemClock,
      scheduler: systemScheduler,
      random: systemRandom,
      warn: (message) => complaints.push(message),
      progress: () => {},
    });
    await lab.start();
    return new TestLab(lab, complaints);
  }

  stop(): Promise<void> {
    return this.lab.stop();
  }

  host(name: string): RealHost {
    return this.lab.host(name);
  }

  vm(name: string): VmNamespace {
    return this.lab.vm(name).vm;
  }

  /** Address of a VM, dotted. */
  ip(name: string): string {
    return formatIpv4(this.lab.vm(name).spec.ip);
  }

  /** Runs in the VM to its end. @throws MidotraceError with what it said when its status is not 0. */
  exec(vm: string, command: string, ...args: readonly string[]): Promise<RunResult> {
    return this.vm(vm).exec(command, args, { timeoutMs: 2 * PATIENCE_MS });
  }

  /** Echo requests that must all be answered. */
  async ping(from: string, to: string, ...args: readonly string[]): Promise<string> {
    return (await this.exec(from, "ping", "-n", "-W", "5", ...args, to)).stdout;
  }

  /** Everybody reaches everybody, and has said so by ARP: what comes later finds no table empty. */
  async acquaint(...pairs: readonly (readonly [from: string, to: string])[]): Promise<void> {
    for (const [from, to] of pairs) await this.ping(from, this.ip(to), "-c", "1");
  }

  async call<T>(method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<T> {
    const uri = path.startsWith("http") ? path : `${this.lab.url}/midonet-api${path}`;
    const headers = {
      accept: "application/json",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const response = await fetch(uri, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${uri} was answered with ${response.status}: ${text}`);
    return (text === "" ? null : JSON.parse(text)) as T;
  }

  /** A new trace request, not enabled. @param device "bridge red", "router r1", "port red/p1". */
  async trace(device: `${DeviceKind} ${string}`, match: string, limit?: number): Promise<LabTrace> {
    const [kind, name = ""] = device.split(" ");
    const deviceType = (kind as string).toUpperCase();
    const wanted = { name: device, deviceType, deviceId: this.deviceId(kind as DeviceKind, name), condition: match };
    const body = limit === undefined ? wanted : { ...wanted, limit };
    const { uri } = await this.call<{ uri: string }>("POST", "/traces", body);
    return new LabTrace(this, uri);
  }

  private deviceId(kind: DeviceKind, name: string): string {
    const { records } = this.lab;
    assert.ok(records !== null);
    if (kind === "bridge") return one(records.bridges.filter((b) => b.name === name)).id;
    if (kind === "router") return one(records.routers.filter((r) => r.name === name)).id;
    return this.port(name).id;
  }

  /** "device/port" as the store has it. */
  port(name: string): { readonly id: string; readonly tunnelKey: number } {
    const { records } = this.lab;
    assert.ok(records !== null);
    const [device, port] = name.split("/");
    const owner = one([...records.bridges, ...records.routers].filter((d) => d.name === device));
    return one(records.ports.filter((p) => p.name === port && p.deviceId === owner.id));
  }

  /** Of a host's agent, `midotrace_agent_` left out; since its last start. */
  async metric(host: string, name: string): Promise<number> {
    const text = await (await fetch(`${this.host(host).statusUrl}/metrics`)).text();
    const value = new RegExp(`^midotrace_agent_${name} (\\d+)$`, "m").exec(text)?.[1];
    assert.ok(value !== undefined, `${host} has no metric ${name}:\n${text}`);
    return Number(value);
  }

  /** The flows of a host's br-int, one line each. */
  async flows(host: string): Promise<string[]> {
    const { stdout } = await this.host(host).machine.daemons.ofctl("dump-flows", "br-int", "--no-stats");
    return stdout.split("\n").filter((line) => line.trim() !== "");
  }

  /** Kills the agent's process and waits until the next one is ready. */
  async restartAgent(host: string, signal: NodeJS.Signals): Promise<void> {
    const { agent, statusUrl } = this.host(host);
    const before = agent.pid;
    agent.kill(signal);
    await eventually(async () => {
      assert.notEqual(agent.pid ?? before, before);
      const ready = await fetch(`${statusUrl}/readyz`).catch(() => null);
      assert.equal(ready?.status, 200);
    });
  }
}

/** A trace request of a test. */
export class LabTrace {
  readonly uri: string;
  private readonly lab: TestLab;
  private armedOn: readonly string[] = [];

  constructor(lab: TestLab, uri: string) {
    this.lab = lab;
    this.uri = uri;
  }

  /** Resolves when it is armed on these hosts: those that know its device already. */
  enable(...hosts: readonly string[]): Promise<void> {
    return this.put(true, hosts);
  }

  disable(...hosts: readonly string[]): Promise<void> {
    return this.put(false, hosts);
  }

  async delete(): Promise<void> {
    await this.change(-1, this.armedOn, () => this.lab.call("DELETE", this.uri));
  }

  /** All of them as they are now, newest first. */
  async flows(): Promise<readonly PublicFlowTrace[]> {
    const all: PublicFlowTrace[] = [];
    for (let next: string | null = `${this.uri}/flows?limit=200`; next !== null; ) {
      const page: FlowPageDto = await this.lab.call<FlowPageDto>("GET", next);
      all.push(...page.flows);
      next = page.next;
    }
    return all;
  }

  /** Exactly `count` of them, oldest first, once it is known of each whether it is whole. */
  settled(count: number): Promise<readonly PublicFlowTrace[]> {
    return eventually(async () => {
      const flows = (await this.flows()).toReversed();
      assert.equal(flows.length, count, flows.map((f) => `${f.why} ${JSON.stringify(f.key)}`).join("\n"));
      for (const { completeness } of flows) assert.notEqual(completeness.state, "unknown");
      return flows;
    });
  }

  private async put(enabled: boolean, hosts: readonly string[]): Promise<void> {
    await this.change(enabled ? 1 : -1, hosts, () => this.lab.call("PUT", this.uri, { enabled }));
    this.armedOn = enabled ? hosts : [];
  }

  /** Resolves when each of the hosts has one armed trace more, or less. */
  private async change(by: 1 | -1, hosts: readonly string[], act: () => Promise<void>): Promise<void> {
    const armed = (host: string): Promise<number> => this.lab.metric(host, "traces_armed");
    const before = await Promise.all(hosts.map(armed));
    await act();
    await eventually(async () => {
      for (const [i, host] of hosts.entries()) assert.equal(await armed(host), (before[i] as number) + by, host);
    });
  }
}

/** Names of the hosts that have reported, ingress first. */
export const hostsOf = (flow: PublicFlowTrace): string[] => flow.segments.map((s) => s.hostName);

/**
 * Two networks with a router between, over three hosts:
 * `<prefix>1` on a and `<prefix>3` on c in 172.16.1.0/24, `<prefix>2` on b and `<prefix>4` on c in 172.16.2.0/24.
 */
export const twoNetworks = (prefix: string): LabPlan => ({
  topology: `
hosts: [{ name: a }, { name: b }, { name: c }]
tunnelZones: [{ name: zone, type: vxlan, hosts: { a: 192.0.2.1, b: 192.0.2.2, c: 192.0.2.3 } }]
bridges:
  - name: one
    ports:
      - { name: p1, bind: { host: a, interface: tap1 } }
      - { name: p3, bind: { host: c, interface: tap3 } }
      - { name: router, link: router/one }
  - name: two
    ports:
      - { name: p2, bind: { host: b, interface: tap2 } }
      - { name: p4, bind: { host: c, interface: tap4 } }
      - { name: router, link: router/two }
routers:
  - name: router
    ports: [{ name: one, address: 172.16.1.254/24 }, { name: two, address: 172.16.2.254/24 }]
    routes: [{ type: Normal, dst: 172.16.1.0/24, port: one }, { type: Normal, dst: 172.16.2.0/24, port: two }]
`,
  vms: `
vms:
  - { name: ${prefix}1, port: one/p1, mac: "aa:bb:cc:00:01:01", ip: 172.16.1.1/24, gateway: 172.16.1.254 }
  - { name: ${prefix}2, port: two/p2, mac: "aa:bb:cc:00:02:02", ip: 172.16.2.1/24, gateway: 172.16.2.254 }
  - { name: ${prefix}3, port: one/p3, mac: "aa:bb:cc:00:01:03", ip: 172.16.1.3/24, gateway: 172.16.1.254 }
  - { name: ${prefix}4, port: two/p4, mac: "aa:bb:cc:00:02:04", ip: 172.16.2.4/24, gateway: 172.16.2.254 }
`,
});

function one<T>(found: readonly T[]): T {
  assert.equal(found.length, 1);
  return found[0] as T;
}

/** The API server is another process: its port must be known before. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
