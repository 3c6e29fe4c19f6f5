import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { openStore } from "#adapters/nsdb-open";
import {
  type NetworkNamespace,
  OvsHost,
  startZookeeper,
  Testbed,
  Underlay,
  until,
  VmNamespace,
  type ZookeeperEnsemble,
} from "#adapters/testbed";
import { type Clock, type Lifecycle, MidotraceError, type PortId, type Random, type Scheduler } from "#core/base";
import { type ApplyReport, Nsdb, type NsdbStore } from "#core/nsdb";
import { formatIpv4, formatMac } from "#core/packets";
import { parseTopologyDocument, type TopologyDocument, type TopologyRecords } from "#core/topology";
import { NamedPorts } from "../named-ports.ts";
import type { VmSpec, VmTable } from "../vm-table.ts";
import { planUnderlay, type UnderlayPlan } from "./addresses.ts";
import { Management } from "./management.ts";
import { requirePossible } from "./preflight.ts";
import { midotrace, vmServices } from "./programs.ts";
import { Supervised } from "./supervised.ts";

export interface RealLabOptions {
  /** A topology document as it came out of the YAML file. */
  readonly topology: unknown;
  readonly vms: VmTable;
  /** Where users reach the API. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Servers of the ZooKeeper ensemble. */
  readonly zookeepers: 1 | 3;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  /** What the user has to know while the lab runs. */
  readonly warn: (message: string) => void;
  readonly progress: (what: string) => void;
  /** Aborted: a start that is under way is given up. */
  readonly stop?: AbortSignal;
}

export interface RealHost {
  readonly id: string;
  readonly name: string;
  readonly machine: OvsHost;
  readonly agent: Supervised;
  /** Of the agent: /healthz, /readyz, /metrics. */
  readonly statusUrl: string;
}

export interface RealVm {
  readonly name: string;
  readonly spec: VmSpec;
  readonly host: string;
  readonly vm: VmNamespace;
  readonly portId: PortId;
}

/** Where agents answer on their host's address in the management network. */
const AGENT_STATUS_PORT = 8182;
const COLLECTOR_PORT = 8181;
/** Of a VM whose table does not say. */
const DEFAULT_TCP_PORTS = [80, 22];
const READY_MS = 30_000;

/**
 * The lab on real parts: a network namespace and an Open vSwitch for each host, a kernel for each VM, an underlay,
 * ZooKeeper, and the API server and agents as processes. Root only. What it makes is noted as it is made, so that
 * `midotrace lab clean` finds it after a crash.
 */
export class RealLab implements Lifecycle {
  private readonly o: RealLabOptions;
  private readonly undo: (() => Promise<void> | void)[] = [];
  private bed: Testbed | null = null;
  private network: Underlay | null = null;
  private servers: ZookeeperEnsemble | null = null;
  private api: Supervised | null = null;
  readonly hosts: RealHost[] = [];
  readonly vms: RealVm[] = [];
  records: TopologyRecords | null = null;
  applied: ApplyReport | null = null;
  private logs = "";
  storeUrl = "";
  url = "";

  constructor(options: RealLabOptions) {
    this.o = options;
  }

  get testbed(): Testbed {
    return given(this.bed, "testbed");
  }

  get underlay(): Underlay {
    return given(this.network, "underlay");
  }

  get zookeeper(): ZookeeperEnsemble {
    return given(this.servers, "ZooKeeper");
  }

  /** Of every daemon, a file each. */
  get logDirectory(): string {
    return this.logs;
  }

  get apiServer(): Supervised {
    return given(this.api, "API server");
  }

  host(name: string): RealHost {
    return given(this.hosts.find((h) => h.name === name) ?? null, `host ${name}`);
  }

  vm(name: string): RealVm {
    return given(this.vms.find((v) => v.name === name) ?? null, `VM ${name}`);
  }

  /**
   * Resolves when every agent is ready and every VM's port is up. What was made before a failure is removed again.
   * @throws MidotraceError for what is missing on this machine, for a topology or table of VMs that is not valid; the
   *   signal's reason when it is stopped meanwhile.
   */
  async start(): Promise<void> {
    try {
      await this.startAll();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (let step = this.undo.pop(); step !== undefined; step = this.undo.pop()) await step();
  }

  private async startAll(): Promise<void> {
    const { vms } = this.o;
    const document = parseTopologyDocument(this.o.topology);
    const plan = planUnderlay(document);
    await requirePossible(vms.vms.map((vm) => vm.name));
    const testbed = await Testbed.create();
    this.bed = testbed;
    this.undo.push(() => testbed.close());
    this.logs = await testbed.directory("log");
    this.network = await Underlay.create(testbed);
    const management = await Management.create(testbed, this.o.random);
    this.step(`${plan.hosts.length} hosts with Open vSwitch, ${vms.vms.length} VMs, ZooKeeper`);
    const [machines] = await allOf([this.startMachines(plan), this.startStore(management)]);
    await this.fillStore(document);
    this.step("API server and agents");
    await allOf([this.startApi(management), this.startAgents(plan, management, machines), this.startVms(machines)]);
    await this.ready();
  }

  private step(what: string): void {
    this.o.stop?.throwIfAborted();
    this.o.progress(what);
  }

  private async startMachines(plan: UnderlayPlan): Promise<ReadonlyMap<string, OvsHost>> {
    const { testbed, underlay } = this;
    const made = plan.hosts.map(async ({ name, tunnelIp }): Promise<[string, OvsHost]> => {
      const tunnelAddress = `${tunnelIp}/${plan.prefixLength}`;
      return [name, await OvsHost.create(testbed, underlay, { name, tunnelAddress })];
    });
    return new Map(await allOf(made));
  }

  private async startStore({ ownAddress }: Management): Promise<void> {
    const directory = await this.testbed.directory("zookeeper");
    this.servers = await startZookeeper({ servers: this.o.zookeepers, host: ownAddress, directory });
    const { servers } = this;
    this.undo.push(() => servers.stop());
    this.storeUrl = `zookeeper://${servers.connectString}/midonet/v1`;
  }

  /** The lab's own session is only for building; afterwards everything goes through the API. */
  private async fillStore(document: TopologyDocument): Promise<void> {
    const { clock, random } = this.o;
    await this.withStore(async (store) => {
      const nsdb = new Nsdb(store, random, clock);
      await nsdb.initialize();
      this.applied = await nsdb.apply(document);
      this.records = await nsdb.readTopology();
    });
  }

  private async withStore<T>(work: (store: NsdbStore) => Promise<T>): Promise<T> {
    const { clock, scheduler, random } = this.o;
    const store = openStore(this.storeUrl, { clock, scheduler, random, log: () => {} });
    await store.start();
    try {
      return await work(store);
    } finally {
      await store.stop();
    }
  }

  private async startApi({ ownAddress }: Management): Promise<void> {
    const { listen } = this.o;
    const collect = `${ownAddress}:${COLLECTOR_PORT}`;
    const address = `${listen.host.includes(":") ? `[${listen.host}]` : listen.host}:${listen.port}`;
    // The lab has looked at its user's address; the collector's is on a network that only the lab is on.
    const args = ["--store", this.storeUrl, "--listen", address, "--collect", collect, "--insecure"];
    args.push("--data", await this.testbed.directory("api-state"));
    this.api = await this.daemon("API server", "api", HERE, midotrace("api", ...args));
    this.url = `http://${address}`;
  }

  private async startAgents(
    plan: UnderlayPlan,
    management: Management,
    machines: ReadonlyMap<string, OvsHost>,
  ): Promise<void> {
    const started = plan.hosts.map(async ({ name, tunnelIp }): Promise<RealHost> => {
      const machine = given(machines.get(name) ?? null, `host ${name}`);
      const id = given(this.records?.hosts.find((h) => h.name === name)?.id ?? null, `host ${name}`);
      const address = await management.attach(machine);
      const options = {
        store: this.storeUrl,
        "host-id": id,
        "host-name": name,
        "tunnel-ip": tunnelIp,
        "ovs-run-dir": machine.runDir,
        "state-dir": await this.testbed.directory(`${name}-state`),
        listen: `${address}:${AGENT_STATUS_PORT}`,
      };
      const command = midotrace("agent", ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, value]));
      const agent = await this.daemon(`agent of ${name}`, `agent-${name}`, machine.namespace, command);
      return { id, name, machine, agent, statusUrl: `http://${address}:${AGENT_STATUS_PORT}` };
    });
    this.hosts.push(...(await allOf(started)));
  }

  private async startVms(machines: ReadonlyMap<string, OvsHost>): Promise<void> {
    const records = given(this.records, "topology");
    const named = new NamedPorts(records);
    const plugged = this.o.vms.vms.map(async (spec): Promise<RealVm> => {
      const port = records.ports.find((p) => p.id === named.find(spec.port).id);
      const host = records.hosts.find((h) => h.id === port?.hostId);
      if (port === undefined || host === undefined || port.interfaceName === null)
        throw new MidotraceError("VALIDATION", `VM ${spec.name}: port ${spec.port} is not bound to a host`);
      const vm = await VmNamespace.create(this.testbed, {
        name: spec.name,
        host: given(machines.get(host.name) ?? null, `host ${host.name}`),
        interfaceName: port.interfaceName,
        mac: formatMac(spec.mac),
        address: `${formatIpv4(spec.ip)}/${spec.prefixLength}`,
        ...(spec.gateway === null ? {} : { gateway: formatIpv4(spec.gateway) }),
      });
      await this.testbed.alias(spec.name, vm.namespace);
      const services = vmServices(spec.listen ?? DEFAULT_TCP_PORTS);
      await this.daemon(`services of ${spec.name}`, `vm-${spec.name}`, vm.namespace, services);
      return { name: spec.name, spec, host: host.name, vm, portId: port.id };
    });
    this.vms.push(...(await allOf(plugged)));
  }

  private async daemon(
    name: string,
    file: string,
    namespace: Pick<NetworkNamespace, "spawn">,
    command: [string, ...string[]],
  ): Promise<Supervised> {
    const logFile = join(this.logs, `${file}.log`);
    const daemon: Supervised = new Supervised({
      name,
      namespace,
      command,
      logFile,
      scheduler: this.o.scheduler,
      started: (pid) => this.testbed.noteProcess(name, pid),
      ended: (how) => {
        void daemon.tail().then((tail) => this.o.warn(`${name} ${how}; it is started again\n${tail}`));
      },
    });
    this.undo.push(() => daemon.stop());
    await daemon.start();
    return daemon;
  }

  /** Every daemon says that it is ready, and the store has every VM's port active: the first packet finds all in place. */
  private async ready(): Promise<void> {
    await this.untilReady("API server", this.url, this.apiServer);
    for (const { name, statusUrl, agent } of this.hosts) await this.untilReady(`agent of ${name}`, statusUrl, agent);
    this.step("ports");
    await this.withStore(async (store) => {
      const { state } = new Nsdb(store, this.o.random, this.o.clock);
      for (const { name, portId } of this.vms) {
        const active = async (): Promise<true | null> => ((await state.activeHosts(portId)).length > 0 ? true : null);
        await until(`the port of ${name} to be active`, READY_MS, active);
      }
    });
  }

  private async untilReady(what: string, url: string, daemon: Supervised): Promise<void> {
    let last = "no answer yet";
    const probe = async (): Promise<true | null> => {
      this.o.stop?.throwIfAborted();
      const response = await fetch(`${url}/readyz`).catch(() => null);
      if (response?.ok === true) return true;
      if (response !== null) last = (await response.text()).trim();
      return null;
    };
    await until(`${what} to be ready`, READY_MS, probe).catch(async (error: unknown) => {
      throw new MidotraceError("INTERNAL", `${what} is not ready: ${last}\n${await daemon.tail()}`, [], {
        cause: error,
      });
    });
  }
}

/** All of them to their end, also when one fails: what is to be removed again must not grow meanwhile. */
async function allOf<const T extends readonly Promise<unknown>[]>(
  work: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

/** The namespace that this process is in. */
const HERE: Pick<NetworkNamespace, "spawn"> = {
  async spawn(command, args, options = {}) {
    const child = spawn(command, args, options);
    await once(child, "spawn");
    return child;
  },
};

function given<T>(part: T | null, what: string): T {
  if (part === null) throw new MidotraceError("NOT_FOUND", `the lab has no ${what}`);
  return part;
}
