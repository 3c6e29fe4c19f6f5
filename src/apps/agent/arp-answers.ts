import { type PortId, readU48, type RouterId } from "#core/base";
import {
  arpTag,
  completeMask,
  F,
  type FlowAction,
  type FlowMask,
  type FlowMatch,
  type FlowTag,
  ofportTag,
  UNTAGGED,
} from "#core/flows";
import { MAC_BROADCAST, type Mac, setEthDst } from "#core/packets";
import { CLOSED_GATE, type FlowState, PacketContext, Simulation } from "#core/simulation";
import type { TopologyView } from "#core/topology";
import type { AgentCounters } from "./counters.ts";
import { type FlowRegistry, type Lifetime, LIFETIME, Way } from "./flow-registry.ts";
import type { PacketJob } from "./job.ts";
import type { Translation } from "./translation.ts";

export interface ArpAnswersParts {
  readonly topology: TopologyView;
  readonly learned: FlowState;
  readonly flows: FlowRegistry;
  readonly counters: AgentCounters;
  readonly nextCookie: () => number;
}

/** An ARP request that a router has answered: a flow may answer the next one like it. */
export interface ArpQuestion {
  readonly frame: Uint8Array;
  readonly inPort: number;
  readonly startPort: PortId;
  readonly reply: Uint8Array;
}

/** Why a request got its reply. */
interface Grounds {
  readonly match: FlowMatch;
  readonly mask: FlowMask;
  readonly tags: readonly FlowTag[];
  readonly router: RouterId;
  readonly reply: Uint8Array;
}

const ANSWERS_LIFE: Lifetime = { idleMs: LIFETIME.ARP_ANSWER_IDLE_MS, hardMs: 0 };

/** What an answer rests on: all of the request, so that the reply is the same to the last byte. */
const REQUEST_FIELDS = F.InPort | F.EthSrc | F.EthDst | F.EtherType | F.Vlan | F.NwProto | F.NwSrc | F.NwDst | F.ArpSha;

/**
 * Flows by which the switch itself answers the ARP requests of VMs for their routers' addresses, made when the agent has
 * answered one: while the agent is away, VMs go on knowing their gateways. Such a flow answers only requests that are equal
 * in every field; it carries the tags of the request's way and of the reply's, and of what was learned from the request.
 * A VM asks again by unicast for what it knows (RFC 1122 §2.3.2.1), so that form gets its flow along with the broadcast.
 *
 * A request or reply that an enabled trace matches gets none: the next one has to come up. ADR 0005.
 */
export class ArpAnswers {
  private readonly p: ArpAnswersParts;
  private readonly simulation: Simulation;
  private readonly ctx: PacketContext;

  constructor(parts: ArpAnswersParts) {
    this.p = parts;
    this.simulation = new Simulation(parts.topology, parts.learned, CLOSED_GATE);
    this.ctx = new PacketContext(parts.topology);
  }

  /** Of a packet that is through; null: it is not an ARP request that a router has answered, or not to be answered by a flow. */
  questionOf({ ctx, inPort }: PacketJob): ArpQuestion | null {
    const grounds = ctx.generated ? null : groundsOf(ctx);
    if (grounds === null) return null;
    return { frame: ctx.frame, inPort, startPort: ctx.startPort, reply: grounds.reply };
  }

  /** The reply is through, as `t` says. It may have waited: what the request met is looked at again. */
  answered(question: ArpQuestion, reply: PacketContext, t: Translation): void {
    if (reply.trace !== null || reply.decisions.size > 0 || reply.verdict !== "delivered") return;
    const [action] = t.actions;
    // Unchanged, and only to where the request came from.
    if (t.actions.length !== 1 || action?.kind !== "output" || action.port !== question.inPort) return;
    const { arpSha: mac, nwSrc: ip, ethDst: toMac, nwDst: toIp } = reply.original;
    const actions: readonly FlowAction[] = [{ kind: "arp-reply", mac, ip, toMac, toIp }, { kind: "output-in-port" }];
    const tags = [...reply.tags, ...t.tags];
    this.install(question, question.frame, actions, tags);
    if (readU48(question.frame, 0) !== MAC_BROADCAST) return;
    const toRouter = question.frame.slice();
    setEthDst(toRouter, mac as Mac);
    this.install(question, toRouter, actions, tags);
  }

  /** A flow that answers `frame`, if it still gets the reply that the question got. Nobody sees it, no trace counts it. */
  private install(
    { inPort, startPort, reply }: ArpQuestion,
    frame: Uint8Array,
    actions: readonly FlowAction[],
    replyTags: readonly FlowTag[],
  ): void {
    const { ctx } = this;
    ctx.begin(frame, startPort, false);
    ctx.original.inPort = inPort;
    this.simulation.run(ctx);
    const grounds = ctx.wait === null ? groundsOf(ctx) : null;
    if (grounds === null || !sameBytes(grounds.reply, reply) || !this.isRemembered(grounds)) return;
    const { match, mask, tags } = grounds;
    this.p.counters.flowsInstalled++;
    const allTags = [...new Set([...tags, ...replyTags])];
    this.p.flows.install(this.p.nextCookie(), match, new Way(mask, actions, allTags, startPort, ANSWERS_LIFE));
  }

  /** One machine may claim any number of addresses: there are no more answers than neighbours that its router keeps. */
  private isRemembered({ router, match }: Grounds): boolean {
    const device = this.p.topology.router(router);
    return device !== null && device !== undefined && this.p.learned.arp(device, match.nwSrc)?.mac === match.arpSha;
  }
}

/** Null: this is not a request that a router answered, or more came of it, or a trace is to see it. */
function groundsOf(ctx: PacketContext): Grounds | null {
  const m = ctx.original;
  const [packet] = ctx.generatedPackets;
  if (packet?.arpReplyOf === undefined || ctx.generatedPackets.length > 1 || ctx.outputs.length > 0) return null;
  if (ctx.verdict !== "consumed" || ctx.trace !== null || ctx.decisions.size > 0) return null;
  if (m.vlan !== UNTAGGED) return null;
  const mask = completeMask(m, ctx.seen | REQUEST_FIELDS, 32, 32);
  const router = packet.arpReplyOf;
  // When the router comes to know the sender's address by another MAC, or forgets it, this sender has to be heard again.
  const tags = [...ctx.tags, ofportTag(m.inPort), arpTag(router, m.nwSrc)];
  return { match: m.clone(), mask, tags, router, reply: packet.frame };
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
