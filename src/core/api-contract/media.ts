/** Media types of the resources (midonet-rest section 3): every version that any MidoNet ever served, newest first. */
const ITEM = "application/vnd.org.midonet.";
const COLLECTION = "application/vnd.org.midonet.collection.";
export const JSON_MEDIA = "application/json";
export const ERROR_MEDIA = "application/vnd.org.midonet.Error-v1+json";
export const EVENT_STREAM_MEDIA = "text/event-stream";
/** What Wireshark's own servers call it; not registered with IANA. */
export const PCAPNG_MEDIA = "application/x-pcapng";
export const TEXT_MEDIA = "text/plain; charset=utf-8";
export const HTML_MEDIA = "text/html; charset=utf-8";

interface Resource {
  /** Newest first. */
  readonly versions: readonly number[];
  /** MidoNet refuses `application/json` for a few; we accept it everywhere, but then prefer the vendor type. */
  readonly preferVendor?: boolean;
}

export const RESOURCES = {
  Application: { versions: [5, 4] },
  Tenant: { versions: [2, 1], preferVendor: true },
  Router: { versions: [3, 2, 1] },
  Bridge: { versions: [5, 4, 3, 2, 1] },
  Port: { versions: [4, 3, 2, 1] },
  PortLink: { versions: [1] },
  Host: { versions: [3, 2] },
  Interface: { versions: [1] },
  HostInterfacePort: { versions: [1] },
  Chain: { versions: [1] },
  Route: { versions: [1] },
  PortGroup: { versions: [1] },
  PortGroupPort: { versions: [1] },
  Rule: { versions: [2, 1] },
  TunnelZone: { versions: [1] },
  TunnelZoneHost: { versions: [1] },
  GreTunnelZoneHost: { versions: [1] },
  IpAddrGroup: { versions: [1], preferVendor: true },
  IpAddrGroupAddr: { versions: [1], preferVendor: true },
  SystemState: { versions: [2, 1] },
  WriteVersion: { versions: [1] },
  HostVersion: { versions: [1] },
  MacPort: { versions: [2, 1] },
  IP4Mac: { versions: [1] },
  MacIp: { versions: [1] },
  DhcpSubnet: { versions: [2, 1] },
  DhcpV6Subnet: { versions: [1] },
  BgpNetwork: { versions: [1] },
  BgpPeer: { versions: [1] },
  TraceRequest: { versions: [1] },
  Token: { versions: [1], preferVendor: true },
} as const satisfies Readonly<Record<string, Resource>>;

export type ResourceName = keyof typeof RESOURCES;

function types(prefix: string, names: readonly ResourceName[]): string[] {
  const vendor = names.flatMap((name) => RESOURCES[name].versions.map((v) => `${prefix}${name}-v${v}+json`));
  const preferVendor = names.some((name) => "preferVendor" in RESOURCES[name]);
  return preferVendor ? [...vendor, JSON_MEDIA] : [JSON_MEDIA, ...vendor];
}

/** The types of one object; the first is the answer to a request that does not say. */
export function itemMedia(...names: readonly ResourceName[]): readonly string[] {
  return types(ITEM, names);
}

/** The types of a list of them. */
export function collectionMedia(...names: readonly ResourceName[]): readonly string[] {
  return types(COLLECTION, names);
}

/** The type without parameters, in lower case; "" for an absent header. */
export function essence(mediaType: string | undefined): string {
  return (mediaType ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/**
 * Chooses among the served types by an Accept header (RFC 9110 §12.5.1; `q` is honoured, other parameters are not).
 * @returns null when none is acceptable. An absent or empty header accepts everything.
 */
export function negotiate(accept: string | undefined, served: readonly string[]): string | null {
  const ranges = (accept ?? "")
    .split(",")
    .map((text, index) => ({ range: essence(text), q: quality(text), index }))
    .filter((r) => r.range !== "");
  if (ranges.length === 0) return served[0] ?? null;
  ranges.sort((a, b) => b.q - a.q || a.index - b.index);
  for (const { range, q } of ranges) {
    const found = q > 0 ? served.find((type) => covers(range, essence(type))) : undefined;
    if (found !== undefined) return found;
  }
  return null;
}

/** Whether a body of this content type can be read as one of `accepted`; an absent type can. */
export function acceptsBody(contentType: string | undefined, accepted: readonly string[]): boolean {
  const type = essence(contentType);
  return type === "" || accepted.some((a) => essence(a) === type);
}

function covers(range: string, type: string): boolean {
  if (range === "*/*" || range === type) return true;
  return range.endsWith("/*") && type.startsWith(range.slice(0, -1));
}

function quality(text: string): number {
  const q = /;\s*q=([0-9.]+)/i.exec(text)?.[1];
  return q === undefined ? 1 : Number(q) || 0;
}
