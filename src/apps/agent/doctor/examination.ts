import type { InspectedDatabase, Looked, ModuleState } from "#adapters/datapath-ovs";
import type { HostId } from "#core/base";
import type { NsdbStore } from "#core/nsdb";
import type { HostRecord, TunnelZoneMember } from "#core/topology";
import type { AgentOptionValues } from "../options.ts";
import type { Finding } from "./finding.ts";

export interface InterfaceFacts {
  readonly name: string;
  readonly up: boolean;
  readonly mtu: number;
  /** IPv4, dotted. */
  readonly addresses: readonly string[];
}

export interface DirectoryFacts {
  readonly isDirectory: boolean;
  readonly uid: number;
  /** Permission bits. */
  readonly mode: number;
  /** Why nothing can be written there; null: it can. */
  readonly unwritable: string | null;
}

/** `silent`: no answer, whatever the reason. */
export type Pinged = "answered" | "silent" | { readonly trouble: string };

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** The Date header as it came. */
  readonly date: string | null;
  /** This host's wall clock around the request, ms. */
  readonly sentAtMs: number;
  readonly receivedAtMs: number;
}

/** Everything that the doctor asks of the world. None of them changes anything; none waits longer than some seconds. */
export interface Probes {
  kernelRelease(): string;
  /** Of this process. */
  userId(): number;
  /** Null: there is no such thing. */
  directory(path: string): DirectoryFacts | null;
  /** Null: there is no such file. @throws when it cannot be read. */
  readText(path: string): string | null;
  /** Of this host's network, also those that are down. */
  interfaces(): readonly InterfaceFacts[];
  module(): Promise<ModuleState>;
  daemon(): Promise<Looked<{ readonly pid: number; readonly version: string }>>;
  database(about: { readonly module: boolean; readonly tunnelIp: string | null }): Promise<Looked<InspectedDatabase>>;
  /** Whether the bridge takes OpenFlow connections; null: it does. */
  management(): Promise<string | null>;
  /** Connected; the same one each time. */
  store(url: string): Promise<Looked<NsdbStore>>;
  /** @param bytes of the IP packet, sent with DF; null: a small one that may be fragmented. */
  ping(from: string, to: string, bytes: number | null): Promise<Pinged>;
  http(url: string): Promise<Looked<HttpAnswer>>;
  /** Null: nobody here can tell. */
  clockSynchronized(): Promise<boolean | null>;
  monotonicMs(): number;
}

/** What earlier checks found out, for those that come later; null: it is not known. */
export class Examination {
  readonly options: AgentOptionValues;
  hostId: HostId | null = null;
  module: ModuleState = "unknown";
  daemonRuns = false;
  database: InspectedDatabase | null = null;
  store: NsdbStore | null = null;
  hosts: readonly HostRecord[] = [];
  /** Of every tunnel zone. */
  members: readonly TunnelZoneMember[] = [];
  /** Whether this host's agent is alive, as the store says. */
  aliveInStore: boolean | null = null;
  /** Interface name → id of the port; null: the store was not asked. */
  bindings: ReadonlyMap<string, string> | null = null;
  /** Dotted: configured, else from the tunnel zone. */
  tunnelIp: string | null = null;
  tunnelInterface: InterfaceFacts | null = null;

  constructor(options: AgentOptionValues) {
    this.options = options;
    this.tunnelIp = options["tunnel-ip"];
  }

  get bridge(): string {
    return this.options.bridge;
  }

  hostName(id: string): string {
    return this.hosts.find((h) => h.id === id)?.name ?? id;
  }
}

/** One subject of the examination. What it throws is told as `unknown`. */
export interface Check {
  readonly name: string;
  /** After this long it is given up. */
  readonly timeoutMs: number;
  run(at: Examination, probes: Probes): Promise<readonly Finding[]>;
}
