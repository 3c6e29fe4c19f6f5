import { formatIpv4, formatMac } from "#core/packets";

/** What a switch does with a packet, in order. Values are those that OpenFlow's set-field and Nicira's extensions can carry. */
export type FlowAction =
  | { readonly kind: "set-eth"; readonly src: number; readonly dst: number }
  | { readonly kind: "set-ipv4"; readonly src: number | null; readonly dst: number | null; readonly ttl: number | null }
  | { readonly kind: "set-tp"; readonly src: number | null; readonly dst: number | null }
  /** Makes an untagged ARP message the reply that `ip` is at `mac` (RFC 826, "Packet Reception"). No effect on other packets. */
  | {
      readonly kind: "arp-reply";
      readonly mac: number;
      readonly ip: number;
      readonly toMac: number;
      readonly toIp: number;
    }
  | { readonly kind: "push-vlan"; readonly vlan: number }
  | { readonly kind: "pop-vlan" }
  /** Tunnel metadata for the outputs to a tunnel port that follow. */
  | { readonly kind: "set-tunnel"; readonly key: number; readonly dst: number }
  /** To a datapath port. Output to the packet's own input port is silently skipped, as Open vSwitch does. */
  | { readonly kind: "output"; readonly port: number }
  /** Back out of the port the packet came by (OpenFlow's IN_PORT); nothing when it came by none. */
  | { readonly kind: "output-in-port" };

/** Whether both lists do the same to every packet. */
export function sameActions(a: readonly FlowAction[], b: readonly FlowAction[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!sameAction(a[i] as FlowAction, b[i] as FlowAction)) return false;
  return true;
}

function sameAction(a: FlowAction, b: FlowAction): boolean {
  switch (a.kind) {
    case "set-eth":
      return b.kind === a.kind && b.src === a.src && b.dst === a.dst;
    case "set-ipv4":
      return b.kind === a.kind && b.src === a.src && b.dst === a.dst && b.ttl === a.ttl;
    case "set-tp":
      return b.kind === a.kind && b.src === a.src && b.dst === a.dst;
    case "arp-reply":
      return b.kind === a.kind && b.mac === a.mac && b.ip === a.ip && b.toMac === a.toMac && b.toIp === a.toIp;
    case "push-vlan":
      return b.kind === a.kind && b.vlan === a.vlan;
    case "set-tunnel":
      return b.kind === a.kind && b.key === a.key && b.dst === a.dst;
    case "output":
      return b.kind === a.kind && b.port === a.port;
    case "pop-vlan":
    case "output-in-port":
      return b.kind === a.kind;
  }
}

export function formatAction(a: FlowAction): string {
  switch (a.kind) {
    case "set-eth":
      return `set eth ${formatMac(a.src)} > ${formatMac(a.dst)}`;
    case "set-ipv4": {
      const parts = [
        a.src === null ? "" : `src ${formatIpv4(a.src)}`,
        a.dst === null ? "" : `dst ${formatIpv4(a.dst)}`,
        a.ttl === null ? "" : `ttl ${a.ttl}`,
      ];
      return `set ip ${parts.filter((p) => p !== "").join(" ")}`;
    }
    case "set-tp":
      return `set L4 ports ${a.src ?? "-"} > ${a.dst ?? "-"}`;
    case "arp-reply":
      return `answer ARP: ${formatIpv4(a.ip)} is at ${formatMac(a.mac)}`;
    case "push-vlan":
      return `push vlan ${a.vlan}`;
    case "pop-vlan":
      return "pop vlan";
    case "set-tunnel":
      return `set tunnel key 0x${a.key.toString(16)} to ${formatIpv4(a.dst)}`;
    case "output":
      return `output ${a.port}`;
    case "output-in-port":
      return "output to the port it came by";
  }
}
