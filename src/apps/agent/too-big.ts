/**
 * Packets that are longer than the tunnel takes. As a router at a link with a smaller MTU does (RFC 791 §2.3, RFC 1191 §3):
 * an IPv4 packet that may be fragmented is; of one that may not (and of IPv6, RFC 8200 §5) the sender is told, and it is
 * not sent. Where no router is on the way, the error comes from the packet's own destination, as Linux's bridged tunnels do.
 */
import type { Clock } from "#core/base";
import { type Datapath, longestServed, tunnelTagGrowth } from "#core/datapath";
import { FlowMatch, parseFlowMatch } from "#core/flows";
import {
  buildIcmpError,
  buildPacketTooBig,
  decodeIpv6,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  formatIpv4,
  formatIpv6,
  fragmentIpv4,
  type Ipv4,
  isIpv6Fragment,
  isMulticastMac,
  locate,
  type Mac,
  PROTO_ICMPV6,
} from "#core/packets";
import { deviceRef, type PacketContext, whyNoIcmpError } from "#core/simulation";
import type { PortDevice, RouterDevice } from "#core/topology";
import type { AgentCounters } from "./counters.ts";
import { TokenBuckets } from "./token-buckets.ts";
import { type PhysicalView, translate, type Translation } from "./translation.ts";
import { isRemote, type WireCopy, wireCopies } from "./wire-copies.ts";

/** What becomes of such a packet. */
export interface TooBigPacket {
  /** Copies for this host's ports, and how the others ended. */
  readonly local: Translation;
  /** What goes into the tunnel instead of the copies for other hosts; none when they are dropped. */
  readonly copies: readonly WireCopy[];
  /** Nobody got it, and the sender was told. */
  readonly told: boolean;
}

/** Errors for one port: at once, and per second. A host needs one for each destination it sends to. */
const BURST = 100;
const PER_SECOND = 100;
/** ICMP destination unreachable, fragmentation needed (RFC 1191 §4). */
const [UNREACHABLE, FRAGMENTATION_NEEDED] = [3, 4];
/** RFC 4443 §2.1, RFC 4861 §4.5. */
const [FIRST_INFORMATIONAL, REDIRECT] = [128, 137];
const ALL_ONES_BYTE = 0xffn;
const FIRST_BYTE = 120n;

/** The error, or why there is none. */
type Answer = { readonly frame: Uint8Array; readonly to: string } | { readonly because: string };

export class TooBig {
  private readonly datapath: Datapath;
  private readonly view: PhysicalView;
  private readonly counters: AgentCounters;
  private readonly buckets: TokenBuckets;

  constructor(clock: Clock, datapath: Datapath, view: PhysicalView, counters: AgentCounters) {
    this.datapath = datapath;
    this.view = view;
    this.counters = counters;
    this.buckets = new TokenBuckets(clock, BURST, PER_SECOND);
  }

  /** Null for what goes its usual way. An error is put among the packets that the simulation generated. */
  handle(ctx: PacketContext, plain: Translation): TooBigPacket | null {
    if (this.datapath.tunnelFrameLimit === Infinity) return null;
    // Rewrites change no length, but for tags that are pushed and popped.
    const growth = tunnelTagGrowth(plain.actions, this.view.tunnelOfport ?? 0);
    if (growth === null) return null;
    const lengthBytes = ctx.frame.length;
    const limitBytes = longestServed(growth, this.datapath.tunnelFrameLimit);
    if (lengthBytes <= limitBytes) return null;
    const mtuBytes = limitBytes - locate(ctx.frame).l3Offset;
    const copies = this.fragments(ctx.frame, plain, mtuBytes);
    const start = ctx.view.port(ctx.startPort) ?? null;
    if (start !== null)
      ctx.recorder?.push({
        kind: "too-big",
        device: deviceRef(start),
        owner: start.tenantId,
        lengthBytes,
        limitBytes,
        mtuBytes,
        fragments: copies.length / plain.outputs.filter(isRemote).length,
      });
    const outputs = ctx.outputs.filter((_, i) => plain.outputs[i]?.kind === "local");
    const { actions, tags } = translate(ctx.original, outputs, this.view, (port) => port.tunnelKey);
    if (copies.length > 0) {
      this.counters.fragmented++;
      return { local: { actions, tags, outputs: plain.outputs }, copies, told: false };
    }
    const told = start !== null && this.tell(ctx, plain, start, mtuBytes);
    const lost = plain.outputs.map((o) =>
      isRemote(o) ? ({ kind: "lost", port: o.port, because: "too-big-for-tunnel" } as const) : o,
    );
    return { local: { actions, tags, outputs: lost }, copies, told };
  }

  /** None when one of the copies cannot be fragmented: they differ in headers only, so that no other can. */
  private fragments(frame: Uint8Array, plain: Translation, mtuBytes: number): WireCopy[] {
    const found: WireCopy[] = [];
    for (const copy of wireCopies(frame, plain, this.view.tunnelOfport)) {
      const pieces = fragmentIpv4(copy.frame, mtuBytes);
      if (pieces === null) return [];
      for (const piece of pieces) found.push({ to: copy.to, frame: piece });
    }
    return found;
  }

  private tell(ctx: PacketContext, plain: Translation, start: PortDevice, mtu: number): boolean {
    const first = plain.outputs.findIndex(isRemote);
    const routedBy = ctx.outputs[first]?.routedBy ?? null;
    const router = routedBy === null ? null : (ctx.view.router(routedBy.deviceId as RouterDevice["id"]) ?? null);
    const teller = router ?? start;
    const at = { device: deviceRef(teller), owner: teller.tenantId };
    const answer = this.answer(ctx, routedBy, mtu);
    if ("because" in answer) {
      this.counters.tooBigSilent++;
      ctx.recorder?.push({ kind: "answer-suppressed", ...at, what: "icmp-error", because: answer.because });
      return false;
    }
    this.counters.tooBigTold++;
    const summary = `packet too big to ${answer.to}, next-hop MTU ${mtu}`;
    ctx.recorder?.push({ kind: "answer", ...at, what: "icmp-error", summary });
    const of = router === null ? `port ${start.label}` : `router ${router.name}`;
    ctx.generatedPackets.push({
      port: routedBy?.id ?? start.id,
      frame: answer.frame,
      cause: `ICMP error of ${of}: too big for the tunnel`,
    });
    return true;
  }

  private answer(ctx: PacketContext, routedBy: PortDevice | null, mtu: number): Answer {
    const { etherType } = locate(ctx.frame);
    const answer =
      etherType === ETHERTYPE_IPV4
        ? answerIpv4(ctx.frame, routedBy, mtu)
        : etherType === ETHERTYPE_IPV6
          ? answerIpv6(ctx.frame, mtu)
          : { because: "the packet is neither IPv4 nor IPv6" };
    if ("because" in answer || this.buckets.take(ctx.startPort)) return answer;
    return { because: `more than ${PER_SECOND} errors a second for this port` };
  }
}

function answerIpv4(frame: Uint8Array, routedBy: PortDevice | null, mtu: number): Answer {
  const m = bareMatch(frame);
  const because = whyNoIcmpError(m);
  if (because !== null) return { because };
  if (routedBy !== null && routedBy.address === 0) return { because: "the router port has no address to send from" };
  const error = buildIcmpError({
    ethSrc: (routedBy?.mac ?? m.ethDst) as Mac,
    ethDst: m.ethSrc as Mac,
    ipSrc: (routedBy?.address ?? m.nwDst) as Ipv4,
    ipDst: m.nwSrc as Ipv4,
    type: UNREACHABLE,
    code: FRAGMENTATION_NEEDED,
    mtu,
    quotedFrame: frame,
  });
  return { frame: routedBy === null ? behindTags(frame, error) : error, to: formatIpv4(m.nwSrc) };
}

/** RFC 4443 §2.4 (e). Routers here take no IPv6, so it was bridged. */
function answerIpv6(frame: Uint8Array, mtu: number): Answer {
  const { l3Offset, l4Offset } = locate(frame);
  const ip = decodeIpv6(frame, l3Offset, frame.length);
  if (typeof ip === "string") return { because: "the packet is not whole" };
  const { src, dst, fragment, protocol } = ip.layer;
  const type = protocol === PROTO_ICMPV6 && l4Offset >= 0 ? (frame[l4Offset] as number) : null;
  const m = bareMatch(frame);
  if (fragment !== null && isIpv6Fragment(ip.layer) && fragment.offset !== 0)
    return { because: "the packet is a later fragment" };
  if (type !== null && (type < FIRST_INFORMATIONAL || type === REDIRECT))
    return { because: "the packet is itself an ICMPv6 error" };
  if (isMulticastMac(m.ethDst)) return { because: "the packet came by a group MAC address" };
  if (isMulticastIpv6(dst)) return { because: "the packet is for a multicast address" };
  if (src === 0n || isMulticastIpv6(src)) return { because: "the packet has no single sender" };
  const error = buildPacketTooBig({
    ethSrc: m.ethDst as Mac,
    ethDst: m.ethSrc as Mac,
    ipSrc: dst,
    ipDst: src,
    mtu,
    quotedFrame: frame,
  });
  return { frame: behindTags(frame, error), to: formatIpv6(src) };
}

const isMulticastIpv6 = (ip: bigint): boolean => ip >> FIRST_BYTE === ALL_ONES_BYTE;

/** The fields of a frame as if it had no tags: a switch's match sees no IP behind two. */
function bareMatch(frame: Uint8Array): FlowMatch {
  const { l2EtherTypeOffset } = locate(frame);
  const bare = new Uint8Array(frame.length - l2EtherTypeOffset + 12);
  bare.set(frame.subarray(0, 12));
  bare.set(frame.subarray(l2EtherTypeOffset), 12);
  const match = new FlowMatch();
  parseFlowMatch(bare, match);
  return match;
}

/** Puts the tags of a frame into the answer to it: that came by them, and goes back by them. */
function behindTags(frame: Uint8Array, answer: Uint8Array): Uint8Array {
  const tags = frame.subarray(12, locate(frame).l2EtherTypeOffset);
  if (tags.length === 0) return answer;
  const tagged = new Uint8Array(answer.length + tags.length);
  tagged.set(answer.subarray(0, 12));
  tagged.set(tags, 12);
  tagged.set(answer.subarray(12), 12 + tags.length);
  return tagged;
}
