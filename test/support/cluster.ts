import { EmbeddedNsdb, type EmbeddedSession } from "#adapters/nsdb-embedded";
import { Fabric, type FabricSwitch, type TappedDatagram, type VmPort } from "#adapters/datapath-fabric";
import { Agent, type AgentOptions, type BudgetLimits } from "#apps/agent";
import { type HostId, SeededRandom, type TraceRequestId } from "#core/base";
import { Nsdb } from "#core/nsdb";
import { type Ipv4, type Mac, parseIpv4, parseMac } from "#core/packets";
import type { Condition, DeviceType } from "#core/topology";
import { parseTopologyDocument } from "#core/topology";
import { assembleFlowTrace, type FlowTrace, type LossNote, type TraceJournal, type TraceSegment } from "#core/tracing";
import { Vm } from "../../src/apps/lab/vm.ts";
import { VirtualTime } from "./virtual-time.ts";

export interface VmPlan {
  readonly name: string;
  readonly host: string;
  readonly interface: string;
  readonly mac: string;
  readonly ip: string;
  readonly prefixLength: number;
  readonly gateway: string | null;
}

export interface ClusterPlan {
  /** Host name → tunnel address. */
  readonly hosts: Readonly<Record<string, string>>;
  /** A topology document as a plain object (what a YAML file holds). */
  readonly topology: Readonly<Record<string, unknown>>;
  readonly vms: readonly VmPlan[];
  readonly seed?: number;
  /** Hosts that are in a tunnel zone of their own: no other host has a tunnel to them. */
  readonly apart?: readonly string[];
  /** Event budget of the agents; default: none. */
  readonly budget?: BudgetLimits;
  /** Other parts for an agent that starts on the host: its sink, its clock. */
  readonly parts?: (host: string, session: EmbeddedSession, c: Cluster) => Promise<Partial<AgentOptions>>;
  /** The journal of an agent that starts on the host; default: none. */
  readonly journal?: (host: string) => TraceJournal;
  /** Switches go on forwarding when their agent is gone. */
  readonly keepForwarding?: boolean;
  /** Most bytes of an IP packet in the underlay; default: no limit. */
  readonly underlayMtu?: number;
  /** Bytes of traced packets that agents keep; default: their headers. */
  readonly captureBytes?: number;
}

export const ip = (text: string): Ipv4 => parseIpv4(text) as Ipv4;
export const hostId = (n: number): HostId => `00000000-0000-4000-8000-00000000000${n}` as HostId;

/** A whole cluster under virtual time: one embedded store, a fabric, an agent per host, VMs. */
export class Cluster {
  readonly time = new VirtualTime();
  readonly random: SeededRandom;
  readonly store = new EmbeddedNsdb("memory:");
  readonly fabric: Fabric;
  readonly agents = new Map<string, Agent>();
  readonly switches = new Map<string, FabricSwitch>();
  readonly vms = new Map<string, Vm>();
  /** The switch ports of the VMs, by name: frames sent there come from the VM, whatever they hold. */
  readonly wires = new Map<string, VmPort>();
  /** Every frame each VM got. */
  readonly received = new Map<string, Uint8Array[]>();
  readonly segments: TraceSegment[] = [];
  readonly losses: LossNote[] = [];
  readonly wire: TappedDatagram[] = [];
  readonly problems: string[] = [];
  readonly admin: Nsdb;
  private readonly adminSession: EmbeddedSession;
  readonly sessions = new Map<string, EmbeddedSession>();
  private readonly plan: ClusterPlan;

  constructor(plan: ClusterPlan) {
    this.plan = plan;
    this.random = new SeededRandom(plan.seed ?? 1);
    const afterStop = plan.keepForwarding === true ? "keep-forwarding" : "drop";
    this.fabric = new Fabric({
      clock: this.time,
      scheduler: this.time,
      switches: { afterStop },
      ...(plan.underlayMtu === undefined ? {} : { underlayMtu: plan.underlayMtu }),
    });
    this.adminSession = this.store.session();
    this.admin = new Nsdb(this.adminSession, this.random, this.time);
  }

  async start(): Promise<this> {
    await this.store.start();
    await this.adminSession.start();
    await this.admin.initialize();
    const names = Object.keys(this.plan.hosts);
    const doc = {
      hosts: names.map((name, i) => ({ name, id: hostId(i + 1) })),
      tunnelZones: this.zones(),
      ...this.plan.topology,
    };
    await this.admin.apply(parseTopologyDocument(doc));
    this.fabric.tap((d) => void this.wire.push(d));
    for (const name of names) {
      this.switches.set(name, this.fabric.addHost(name, ip(this.plan.hosts[name] as string)));
      await this.startAgent(name);
    }
    for (const plan of this.plan.vms) this.plug(plan);
    await this.settle();
    return this;
  }

  /** A new agent, with a new session, takes the host's switch over. */
  async startAgent(name: string): Promise<void> {
    const session = this.store.session();
    await session.start();
    this.sessions.set(name, session);
    const journal = this.plan.journal?.(name);
    const agent = new Agent({
      hostId: hostId(Object.keys(this.plan.hosts).indexOf(name) + 1),
      hostName: name,
      store: session,
      datapath: this.switch(name),
      clock: this.time,
      scheduler: this.time,
      random: this.random,
      ...(journal === undefined ? {} : { journal }),
      ...(this.plan.captureBytes === undefined ? {} : { captureBytes: this.plan.captureBytes }),
      ...(this.plan.budget === undefined ? {} : { budget: this.plan.budget }),
      sink: {
        segment: (s) => void this.segments.push(s),
        lost: (host, count, because, about) => {
          this.losses.push({ hostId: host, count, because, ...(about === undefined ? {} : { about }) });
          if (about?.cause !== "budget") this.problems.push(`${host} lost ${count}: ${because}`);
        },
      },
      log: (level, message, fields) => {
        if (level === "warn" || level === "error")
          this.problems.push(`${message} ${typeof fields["error"] === "string" ? fields["error"] : ""}`);
      },
      ...(await this.plan.parts?.(name, session, this)),
    });
    this.agents.set(name, agent);
    await agent.start();
  }

  /** The agent is gone without a word, as after SIGKILL; with `keepForwarding`, its flows stay. */
  async killAgent(name: string): Promise<void> {
    this.switch(name).detachController();
    await this.agent(name).stop();
    await this.session(name).stop();
  }

  plug(plan: VmPlan): Vm {
    const vm = new Vm(
      {
        name: plan.name,
        mac: parseMac(plan.mac) as Mac,
        ip: ip(plan.ip),
        prefixLength: plan.prefixLength,
        gateway: plan.gateway === null ? null : ip(plan.gateway),
      },
      this.time,
      this.time,
    );
    const host = this.switches.get(plan.host) as FabricSwitch;
    const got: Uint8Array[] = [];
    const receive = (frame: Uint8Array): void => {
      got.push(frame);
      vm.receive(frame);
    };
    const wire = host.attachVm(plan.interface, { receive });
    vm.attach(wire);
    this.vms.set(plan.name, vm);
    this.wires.set(plan.name, wire);
    this.received.set(plan.name, got);
    return vm;
  }

  /** A frame of the VM, made by the test. */
  inject(name: string, frame: Uint8Array): void {
    const wire = this.wires.get(name);
    if (wire === undefined) throw new Error(`no VM ${name}`);
    wire.send(frame);
  }

  /** The frames the VM got so far. */
  got(name: string): Uint8Array[] {
    const frames = this.received.get(name);
    if (frames === undefined) throw new Error(`no VM ${name}`);
    return frames;
  }

  switch(name: string): FabricSwitch {
    const found = this.switches.get(name);
    if (found === undefined) throw new Error(`no host ${name}`);
    return found;
  }

  session(name: string): EmbeddedSession {
    const session = this.sessions.get(name);
    if (session === undefined) throw new Error(`no host ${name}`);
    return session;
  }

  private zones(): { name: string; type: "vxlan"; hosts: Record<string, string> }[] {
    const apart = this.plan.apart ?? [];
    const zone = (name: string, hosts: [string, string][]) => ({
      name,
      type: "vxlan" as const,
      hosts: Object.fromEntries(hosts),
    });
    const all = Object.entries(this.plan.hosts);
    const together = all.filter(([host]) => !apart.includes(host));
    return [zone("tz", together), ...all.filter(([h]) => apart.includes(h)).map((h) => zone(`tz-${h[0]}`, [h]))];
  }

  vm(name: string): Vm {
    const vm = this.vms.get(name);
    if (vm === undefined) throw new Error(`no VM ${name}`);
    return vm;
  }

  agent(name: string): Agent {
    const agent = this.agents.get(name);
    if (agent === undefined) throw new Error(`no agent on ${name}`);
    return agent;
  }

  /** Lets everything that is ready happen: packets, store events, and a little time. */
  async settle(ms = 50): Promise<void> {
    for (let i = 0; i < 5; i++) {
      await this.time.advance(ms / 5);
      for (const agent of this.agents.values()) await agent.settled();
    }
  }

  /** Runs `work` (which waits for packets) while time goes on. */
  async during<T>(work: Promise<T>, limitMs = 20_000): Promise<T> {
    const state = { done: false };
    const marked = work.finally(() => {
      state.done = true;
    });
    marked.catch(() => undefined);
    for (let spent = 0; !state.done && spent < limitMs; spent += 10) await this.time.advance(10);
    return marked;
  }

  async trace(
    deviceType: DeviceType,
    deviceId: string,
    condition: Condition,
    options: { limit?: bigint; enabled?: boolean } = {},
  ): Promise<TraceRequestId> {
    const record = await this.admin.traces.create({
      name: "test",
      deviceType,
      deviceId,
      condition,
      enabled: options.enabled ?? true,
      ...(options.limit === undefined ? {} : { limit: options.limit }),
    });
    await this.settle();
    return record.id;
  }

  async deviceNamed(kind: "bridges" | "routers" | "ports", name: string): Promise<string> {
    const all: readonly { id: string; name: string }[] = await this.admin[kind].list();
    const found = all.find((d) => d.name === name);
    if (found === undefined) throw new Error(`no ${kind} named ${name}`);
    return found.id;
  }

  /** The flow traces of all segments so far, by id, oldest first. */
  flowTraces(): FlowTrace[] {
    const byId = new Map<string, TraceSegment[]>();
    for (const s of this.segments) {
      if (s.flowTraceId === null) continue;
      byId.set(s.flowTraceId, [...(byId.get(s.flowTraceId) ?? []), s]);
    }
    return [...byId.values()].flatMap(
      (list) => assembleFlowTrace(list, { nowMs: this.time.nowMs(), lost: this.losses }) ?? [],
    );
  }

  async stop(): Promise<void> {
    for (const agent of this.agents.values()) await agent.stop();
    for (const session of this.sessions.values()) await session.stop();
    await this.adminSession.stop();
    await this.store.stop();
    await this.fabric.stop();
  }
}

/** Two bridges behind a router over three hosts; red-1 on h1, red-2 on h2, blue and spare VMs on h3. */
export function routedPlan(extra: Readonly<Record<string, unknown>> = {}): ClusterPlan {
  return {
    hosts: { h1: "192.0.2.1", h2: "192.0.2.2", h3: "192.0.2.3" },
    topology: {
      bridges: [
        {
          name: "web",
          tenant: "red",
          ports: [
            { name: "red-1", bind: { host: "h1", interface: "tap-red-1" } },
            { name: "red-3", bind: { host: "h3", interface: "tap-red-3" } },
            { name: "up" },
          ],
        },
        {
          name: "db",
          tenant: "red",
          ports: [{ name: "red-2", bind: { host: "h2", interface: "tap-red-2" } }, { name: "up" }],
        },
      ],
      routers: [
        {
          name: "router",
          tenant: "red",
          ports: [
            { name: "to-web", address: "10.0.1.1/24", mac: "ac:ca:ba:00:00:01", link: "web/up" },
            { name: "to-db", address: "10.0.2.1/24", mac: "ac:ca:ba:00:00:02", link: "db/up" },
          ],
          routes: [
            { type: "Normal", dst: "10.0.1.0/24", port: "to-web" },
            { type: "Normal", dst: "10.0.2.0/24", port: "to-db" },
          ],
        },
      ],
      ...extra,
    },
    vms: [
      vmPlan("red-1", "h1", "02:00:00:00:00:01", "10.0.1.10", "10.0.1.1"),
      vmPlan("red-2", "h2", "02:00:00:00:00:02", "10.0.2.20", "10.0.2.1"),
      vmPlan("red-3", "h3", "02:00:00:00:00:03", "10.0.1.30", "10.0.1.1"),
    ],
  };
}

export function vmPlan(name: string, host: string, mac: string, address: string, gateway: string | null): VmPlan {
  return { name, host, interface: `tap-${name}`, mac, ip: address, prefixLength: 24, gateway };
}
