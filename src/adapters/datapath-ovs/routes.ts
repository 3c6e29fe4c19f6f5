/** A line of the kernel's IPv4 routing table. Numbers are u32. */
export interface Route {
  readonly device: string;
  readonly destination: number;
  readonly mask: number;
  /** 0: the destination is on the link. */
  readonly gateway: number;
  readonly metric: number;
}

const UP = 1;

/** @param text /proc/net/route (proc(5)): words in hexadecimal, bytes of addresses in the machine's order. */
export function readRoutes(text: string): Route[] {
  const routes: Route[] = [];
  for (const line of text.split("\n").slice(1)) {
    const [device, destination, gateway, flags, , , metric, mask] = line.trim().split(/\s+/);
    if (device === undefined || mask === undefined) continue;
    if ((Number.parseInt(flags ?? "0", 16) & UP) === 0) continue;
    const address = (word: string | undefined): number => swap(Number.parseInt(word ?? "0", 16));
    const [to, via, netmask] = [address(destination), address(gateway), address(mask)];
    routes.push({ device, destination: to, mask: netmask, gateway: via, metric: Number(metric) });
  }
  return routes;
}

export interface NextHop {
  /** u32 */
  readonly address: number;
  readonly device: string;
}

/** Whose MAC frames to `address` (u32) get: the address itself on the link, else the gateway's. null: no route. */
export function nextHop(routes: readonly Route[], address: number): NextHop | null {
  let best: Route | null = null;
  for (const route of routes) {
    if ((address & route.mask) >>> 0 !== route.destination) continue;
    if (best === null || route.mask > best.mask || (route.mask === best.mask && route.metric < best.metric))
      best = route;
  }
  return best === null ? null : { address: best.gateway === 0 ? address : best.gateway, device: best.device };
}

/** All machines that Node.js runs on with this switch are little-endian. */
function swap(word: number): number {
  return (((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
