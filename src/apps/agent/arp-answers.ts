import { type PortId, readU32, readU48, type RouterId } from "#core/base";
import {
  arpTag,
  completeMask,
  F,
  type FlowAction,
  type FlowMask,
  FlowMatch,
  type FlowTag,
  ofportTag,
  UNTAGGED,
} from "#core/flows";
import { MAC_BROADCAST, type Mac, setEthDst } from "#core/packets";
import { CLOSED_GATE, type FlowState, PacketContext, Simulation } from "#core/simulation";
import type { TopologyView } from "#core/topology";
import type { AgentCounters } from "./counters.ts";
import { type FlowRegistry, LIFETIME } from "./flow-registry.ts";
import type { PacketJob } from "./job.ts";
import type { Translation } from "./translation.ts";

export interface ArpAnswersParts {
  readonly topology: TopologyView;
  readonly learned: FlowState;
  readonly flows: FlowRegistry;
  readonly counters: AgentCounters;
  readonly nextCookie: () => number;
}

/** An ARP request that a router has answered, and why: a flow may answer the next one like it. */
export interface ArpQuestion {
  readonly frame: Uint8Array;
  readonly match: FlowMatch;
  readonly mask: FlowMask;
  readonly tags: readonly FlowTag[];
  readonly startPort: PortId;
  readonly router: RouterId;
  readonly reply: Uint8Array;
}

/** What an answer rests on: all of the request, so that the reply is the same to the last byte. */
const REQUEST_FIELDS = F.InPort | F.EthSrc | F.EthDst | F.EtherType | F.Vlan | F.NwProto | F.NwSrc | F.NwDst | F.ArpSha;
/** Of the ARP message in an untagged frame (RFC 826: 14 + 8, 14, 18, 24). */
const SENDER_MAC = 22;
const SENDER_IP = 28;
const TARGET_MAC = 32;
const TARGET_IP = 38;

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

  /** Of a packet that is through; null: it is not an ARP request that a router has answered, and nothing else came of it. */
  questionOf(job: PacketJob): ArpQuestion | null {
    return job.ctx.generated ? null : questionOf(job.ctx);
  }

  /** The reply is through, as `t` says. */
  answered(question: ArpQuestion, reply: PacketContext, t: Translation): void {
    if (reply.trace !== null || reply.decisions.size > 0 || reply.verdict !== "delivered") return;
    const [action] = t.actions;
    // Unchanged, and only to where the request came from.
    if (t.actions.length !== 1 || action?.kind !== "output" || action.port !== question.match.inPort) return;
    if (!this.isRemembered(question)) return;
    const { frame } = reply;
    const toMac = readU48(frame, TARGET_MAC);
    const actions: readonly FlowAction[] = [
      {
        kind: "arp-reply",
        mac: readU48(frame, SENDER_MAC),
        ip: readU32(frame, SENDER_IP),
        toMac,
        toIp: readU32(frame, TARGET_IP),
      },
      { kind: "output-in-port" },
    ];
    const tags = [...reply.tags, ...t.tags];
    this.install(question, actions, tags);
    if (question.match.ethDst !== MAC_BROADCAST) return;
    const again = this.askedByUnicast(question, readU48(frame, SENDER_MAC));
    if (again !== null) this.install(again, actions, tags);
  }

  /** One machine may claim any number of addresses: there are no more answers than neighbours that its router keeps. */
  private isRemembered({ router, match }: ArpQuestion): boolean {
    const device = this.p.topology.router(router);
    return device !== null && device !== undefined && this.p.learned.arp(device, match.nwSrc)?.mac === match.arpSha;
  }

  private install(question: ArpQuestion, actions: readonly FlowAction[], tags: readonly FlowTag[]): void {
    this.p.counters.flowsInstalled++;
    this.p.flows.install({
      cookie: this.p.nextCookie(),
      match: question.match,
      mask: question.mask,
      actions,
      tags: [...new Set([...question.tags, ...tags])],
      startPort: question.startPort,
      idleTimeoutMs: LIFETIME.ARP_ANSWER_IDLE_MS,
      hardTimeoutMs: 0,
    });
  }

  /** The same request to the router's MAC, if that gets the same reply; nobody sees it, no trace counts it. */
  private askedByUnicast(asked: ArpQuestion, routerMac: number): ArpQuestion | null {
    const { ctx } = this;
    const frame = asked.frame.slice();
    setEthDst(frame, routerMac as Mac);
    ctx.begin(frame, asked.startPort, false);
    ctx.original.inPort = asked.match.inPort;
    this.simulation.run(ctx);
    const again = ctx.wait === null ? questionOf(ctx) : null;
    return again !== null && sameBytes(again.reply, asked.reply) ? again : null;
  }
}

function questionOf(ctx: PacketContext): ArpQuestion | null {
  const m = ctx.original;
  const [packet] = ctx.generatedPackets;
  if (packet?.arpReplyOf === undefined || ctx.generatedPackets.length > 1 || ctx.outputs.length > 0) return null;
  if (ctx.verdict !== "consumed" || ctx.trace !== null || ctx.decisions.size > 0) return null;
  if (m.vlan !== UNTAGGED) return null;
  const mask = completeMask(m, ctx.seen | REQUEST_FIELDS, 32, 32);
  const router = packet.arpReplyOf;
  // When the router comes to know the sender's address by another MAC, or forgets it, this sender has to be heard again.
  const tags = [...ctx.tags, ofportTag(m.inPort), arpTag(router, m.nwSrc)];
  return { frame: ctx.frame, match: m.clone(), mask, tags, startPort: ctx.startPort, router, reply: packet.frame };
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
