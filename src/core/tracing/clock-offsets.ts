/** Deliveries of a host that are looked at: the one that was on its way for the shortest time says most. */
const SAMPLES = 16;
/** Hosts that are remembered; who was heard of longest ago goes first. */
const MAX_HOSTS = 10_000;

interface Host {
  /** Arrival by our clock minus sending by the host's, of the last deliveries. */
  readonly samples: number[];
  roundTripMs: number;
  /** By packets: how far the host's clock is ahead of another host's at most. */
  readonly behind: Map<string, number>;
}

/**
 * How far the clocks of hosts are ahead of ours. A delivery that was sent at s by the host's clock and came at r by ours was
 * on its way for at least nothing, so the host is ahead by at least s − r; the shortest way of the last ones, less half of
 * the shortest round trip, comes closest. A host that never says when it sends is placed by its packets: what another host
 * sent before it was received here.
 */
export class ClockOffsets {
  private readonly hosts = new Map<string, Host>();

  /** A delivery; `roundTripMs` is the shortest time that an answer has taken this host. */
  heard(hostId: string, sentAtMs: number, receivedAtMs: number, roundTripMs = 0): void {
    const host = this.host(hostId);
    host.samples.push(receivedAtMs - sentAtMs);
    if (host.samples.length > SAMPLES) host.samples.shift();
    host.roundTripMs = roundTripMs;
  }

  /** A packet left one host and came to another, each by its own clock. */
  passed(from: string, sentAtMs: number, to: string, receivedAtMs: number): void {
    const host = this.host(to);
    const before = host.behind.get(from) ?? Number.POSITIVE_INFINITY;
    host.behind.set(from, Math.min(before, receivedAtMs - sentAtMs));
  }

  /** How far the host's clock is ahead of ours, in whole ms; null when nothing is known. */
  offsetMs(hostId: string): number | null {
    const host = this.hosts.get(hostId);
    if (host === undefined) return null;
    const own = byDeliveries(host);
    if (own !== null) return own;
    // The packet was on its way for some time: the difference is at most this.
    let least: number | null = null;
    for (const [from, deltaMs] of host.behind) {
      const other = this.hosts.get(from);
      const known = other === undefined ? null : byDeliveries(other);
      if (known !== null) least = Math.min(least ?? Number.POSITIVE_INFINITY, Math.round(known + deltaMs));
    }
    return least;
  }

  private host(hostId: string): Host {
    const known = this.hosts.get(hostId);
    if (known !== undefined) {
      this.hosts.delete(hostId);
      this.hosts.set(hostId, known);
      return known;
    }
    const host: Host = { samples: [], roundTripMs: 0, behind: new Map() };
    this.hosts.set(hostId, host);
    for (const oldest of this.hosts.keys()) {
      if (this.hosts.size <= MAX_HOSTS) break;
      this.hosts.delete(oldest);
    }
    return host;
  }
}

function byDeliveries({ samples, roundTripMs }: Host): number | null {
  if (samples.length === 0) return null;
  const shortest = Math.min(...samples) - roundTripMs / 2;
  return Math.round(-shortest) || 0;
}
