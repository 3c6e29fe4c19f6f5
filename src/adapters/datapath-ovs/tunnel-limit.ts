import type { Clock } from "#core/base";
import type { HostNetwork } from "./host-network.ts";

/** Outer IPv4 20 + UDP 8 + VXLAN 8 + inner Ethernet 14 (RFC 7348 §5): what a frame needs in an IP packet of the underlay. */
const OVERHEAD_BYTES = 50;
const ETHERNET_BYTES = 14;
/** Until the underlay's is known, Ethernet's. */
const USUAL_MTU = 1500;
const LOOK_MS = 2000;

/** The longest frame that the tunnel takes, by the MTU of the interface that has the tunnel's address. */
export class TunnelLimit {
  private readonly network: HostNetwork;
  private readonly tunnelIp: string;
  private readonly clock: Clock;
  private mtu: number | null = null;
  private lastMtu = USUAL_MTU;
  private lookedMs = Number.NEGATIVE_INFINITY;

  constructor(network: HostNetwork, tunnelIp: string, clock: Clock) {
    this.network = network;
    this.tunnelIp = tunnelIp;
    this.clock = clock;
  }

  /** Whether an interface has the address, at the last look. */
  get known(): boolean {
    return this.mtu !== null;
  }

  /** Ethernet header included, VLAN tags and FCS not. */
  get frameBytes(): number {
    return this.lastMtu - OVERHEAD_BYTES + ETHERNET_BYTES;
  }

  /** Cheap when it was looked a moment ago. */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    if (this.mtu !== null && nowMs - this.lookedMs < LOOK_MS) return;
    this.lookedMs = nowMs;
    this.mtu = this.network.interfaceWith(this.tunnelIp)?.mtu ?? null;
    if (this.mtu !== null) this.lastMtu = this.mtu;
  }
}
