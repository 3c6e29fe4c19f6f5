import type { DatapathPort } from "#core/datapath";

/** Where the switch's configuration stands; calls come one at a time, never inside a call of `SwitchConfig`. */
export interface SwitchConfigListener {
  /**
   * The bridge is there and takes OpenFlow connections at this Unix socket. Called again, with the same or another path,
   * each time the switch daemon has begun anew (its flows are gone then).
   */
  bridgeReady(managementSocket: string): void;
  /** Another agent drives the bridge from now on: it is to be left alone until `bridgeReady` is called again. */
  bridgeTaken(): void;
  /** The port appeared, changed (`null`: went away). After a restart of the daemon only what differs is said. */
  portChanged(name: string, port: DatapathPort | null): void;
}

/** The switch's side of a host's configuration, by OVSDB: bridge, tunnel port, one port per bound interface. */
export interface SwitchConfig {
  /** Call once, before `start`. */
  listen(listener: SwitchConfigListener): void;
  /** Resolves when the bridge exists and its ports were reported; keeps trying while the database is away. */
  start(): Promise<void>;
  /** Leaves bridge, ports and flows as they are. */
  stop(): Promise<void>;
  bindInterfaces(names: readonly string[]): void;
  setPeers(addresses: readonly number[]): void;
  /** See `Datapath.tunnelFrameLimit`. */
  readonly tunnelFrameLimit: number;
  /** "system" (kernel) or "netdev" (userspace); null before it was chosen. */
  readonly datapathType: "system" | "netdev" | null;
  waitingFor(): readonly string[];
}

export interface SwitchConfigOptions {
  /** Directory of the daemons' sockets and pid files, usually /run/openvswitch. */
  readonly runDir: string;
  /** Name of the integration bridge, "br-int". */
  readonly bridge: string;
  /** This host's end of the tunnels, u32. */
  readonly tunnelIp: number;
  readonly datapath: "auto" | "system" | "netdev";
}
