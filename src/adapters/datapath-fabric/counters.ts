/** What became of the frames at one switch, beside those that a flow served or that came up (`Datapath.stats`). */
export interface SwitchCounters {
  /** Frames put out on VM ports, and datagrams handed to the underlay. */
  readonly toVms: number;
  readonly toTunnel: number;
  /** Served by a flow without actions. */
  readonly droppedByFlow: number;
  /** Output to the packet's own input port, skipped. */
  readonly ownPort: number;
  /** Arrived while the switch was not started or stopped. */
  readonly notRunning: number;
  /** Missed the table while no agent was attached. */
  readonly noController: number;
  /** Missed the table while the upcall queue was full. */
  readonly upcallQueueFull: number;
  /** Put out on a VM port while the queue towards the VMs was full. */
  readonly vmQueueFull: number;
  readonly noSuchPort: number;
  readonly portDown: number;
  /** Output to the tunnel port without tunnel destination, or to the host itself. */
  readonly noTunnelDst: number;
  readonly tunnelToSelf: number;
  /** Too long for one underlay datagram, or for the underlay's MTU. */
  readonly tooLong: number;
  /** Shorter than an Ethernet header. */
  readonly runt: number;
  /** Underlay datagrams that are not VXLAN, and those for another address. */
  readonly malformed: number;
  readonly misdelivered: number;
}

export interface UnderlayCounters {
  /** Datagrams that hosts sent; each is delivered or lost below. */
  readonly sent: number;
  /** Copies that arrived at a host, duplicates among them. */
  readonly delivered: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly lostByImpairment: number;
  readonly lostByCut: number;
  readonly lostUnknownPeer: number;
}

export interface FabricCounters {
  readonly underlay: UnderlayCounters;
  /** By host name. */
  readonly hosts: Readonly<Record<string, SwitchCounters>>;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export function newSwitchCounters(): Mutable<SwitchCounters> {
  return {
    toVms: 0,
    toTunnel: 0,
    droppedByFlow: 0,
    ownPort: 0,
    notRunning: 0,
    noController: 0,
    upcallQueueFull: 0,
    vmQueueFull: 0,
    noSuchPort: 0,
    portDown: 0,
    noTunnelDst: 0,
    tunnelToSelf: 0,
    tooLong: 0,
    runt: 0,
    malformed: 0,
    misdelivered: 0,
  };
}

export function newUnderlayCounters(): Mutable<UnderlayCounters> {
  return {
    sent: 0,
    delivered: 0,
    duplicated: 0,
    reordered: 0,
    lostByImpairment: 0,
    lostByCut: 0,
    lostUnknownPeer: 0,
  };
}
