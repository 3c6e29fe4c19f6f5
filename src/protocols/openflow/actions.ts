import {
  ARP_OP,
  ETHERTYPE,
  F,
  type FlowAction,
  type FlowMask,
  type FlowMatch,
  hasL4,
  IP_PROTO,
  UNTAGGED,
} from "#core/flows";
import { NX_VENDOR, OFPP } from "./messages.ts";
import type { Output } from "./output.ts";
import { OXM, VLAN_PRESENT } from "./oxm.ts";

/** Action types (TS-012 A.2.5), and subtypes of Nicira's. */
const OFPAT = { OUTPUT: 0, PUSH_VLAN: 17, POP_VLAN: 18, SET_NW_TTL: 23, SET_FIELD: 25, EXPERIMENTER: 0xffff } as const;
const NXAST = { RESUBMIT_TABLE: 14, OUTPUT_REG: 15, CHECK_PKT_LARGER: 49 } as const;
/** IN_PORT in the 16 bits that a register output and a resubmission have for a port. */
const IN_PORT_16 = 0xfff8;
const WHOLE_PACKET = 0xffff;

/**
 * How packets that are too long for the tunnel are kept from it. The action list measures the packet into the lowest bit
 * of register 0; `tooLongTable` takes long ones to the agent, and every output goes by way of `outputTable`, which puts
 * out (to the port in register 1) only what is not too long.
 */
export interface LengthGuard {
  /** Bytes of the longest frame that passes, its tags among them. */
  readonly longestBytes: number;
  readonly tooLongTable: number;
  readonly outputTable: number;
}

/**
 * The mask of an entry on the wire: what it compares, and what the switch must know before it accepts a rewrite (a new
 * IPv4 address wants the ethertype in the match, a popped tag the tag), fragments told from whole packets where headers
 * of these are rewritten. `tags`: also how many tags there are.
 * The same object when nothing is added.
 */
export function maskForActions(m: FlowMatch, mask: FlowMask, actions: readonly FlowAction[], tags: boolean): FlowMask {
  let add = tags ? (m.vlan === UNTAGGED ? F.Vlan : F.Vlan | F.EtherType) : 0;
  for (const action of actions) {
    if (action.kind === "set-ipv4") add |= F.EtherType | F.Fragment;
    else if (action.kind === "set-tp") add |= F.EtherType | F.NwProto | F.Fragment;
    else if (action.kind === "arp-reply") add |= F.EtherType;
    else if (action.kind === "pop-vlan" || action.kind === "push-vlan") add |= F.Vlan;
  }
  if (m.etherType !== ETHERTYPE.IPV4 && m.etherType !== ETHERTYPE.IPV6) add &= ~(F.Fragment | F.NwProto);
  let fields = mask.fields | add;
  if ((fields & NEEDS_ETHERTYPE) !== 0) fields |= F.EtherType;
  return fields === mask.fields ? mask : { ...mask, fields };
}

const NEEDS_ETHERTYPE = F.NwProto | F.NwSrc | F.NwDst | F.NwTos | F.NwTtl | F.Fragment | F.TpSrc | F.TpDst;

/** Tags that Open vSwitch can have in one packet's header fields; of those that arrive it sees one (vlan-limit 1). */
const MOST_TAGS = 2;

/**
 * True when the list puts more tags on a packet of the match than the switch can, or takes off one that it does not see
 * behind the first: it refuses such an entry.
 */
export function reachesHiddenTags(m: FlowMatch, actions: readonly FlowAction[]): boolean {
  let seen = m.vlan === UNTAGGED ? 0 : 1;
  const hidden = m.etherType === ETHERTYPE.VLAN || m.etherType === ETHERTYPE.QINQ;
  for (const action of actions) {
    if (action.kind === "push-vlan" && ++seen > MOST_TAGS) return true;
    if (action.kind !== "pop-vlan") continue;
    if (seen === 0 && hidden) return true;
    if (seen > 0) seen--;
  }
  return false;
}

/**
 * Writes an action list for packets of the match `m` as a flow runs it. Rewrites of headers that these packets do not
 * have are left out, because the switch refuses them; so does the list itself where it has no effect.
 */
export function writeActions(
  out: Output,
  m: FlowMatch,
  actions: readonly FlowAction[],
  guard: LengthGuard | null,
): void {
  let tags = m.vlan === UNTAGGED ? 0 : m.etherType === ETHERTYPE.VLAN || m.etherType === ETHERTYPE.QINQ ? 2 : 1;
  if (guard !== null) {
    writeCheckLength(out, guard.longestBytes);
    writeResubmit(out, guard.tooLongTable);
  }
  for (const action of actions) {
    switch (action.kind) {
      case "set-eth":
        writeSetMac(out, OXM.ETH_SRC, action.src);
        writeSetMac(out, OXM.ETH_DST, action.dst);
        break;
      case "set-ipv4":
        if (m.etherType !== ETHERTYPE.IPV4 || tags > 1) break;
        if (action.src !== null) writeSet32(out, OXM.IPV4_SRC, action.src);
        if (action.dst !== null) writeSet32(out, OXM.IPV4_DST, action.dst);
        if (action.ttl !== null) writeSetTtl(out, action.ttl);
        break;
      case "set-tp": {
        if (!hasL4(m) || (m.nwProto !== IP_PROTO.TCP && m.nwProto !== IP_PROTO.UDP) || tags > 1) break;
        const tcp = m.nwProto === IP_PROTO.TCP;
        if (action.src !== null) writeSet16(out, tcp ? OXM.TCP_SRC : OXM.UDP_SRC, action.src);
        if (action.dst !== null) writeSet16(out, tcp ? OXM.TCP_DST : OXM.UDP_DST, action.dst);
        break;
      }
      case "arp-reply":
        if (m.etherType !== ETHERTYPE.ARP || tags > 0) break;
        writeArpReply(out, action);
        break;
      case "push-vlan":
        tags++;
        writeWord(out, OFPAT.PUSH_VLAN, (ETHERTYPE.VLAN << 16) >>> 0);
        writeSet16(out, OXM.VLAN_VID, VLAN_PRESENT | (action.vlan & 0x0fff));
        break;
      case "pop-vlan":
        if (tags === 0) break;
        tags--;
        writeWord(out, OFPAT.POP_VLAN, 0);
        break;
      case "set-tunnel":
        writeSetTunnel(out, action.key, action.dst);
        break;
      case "output":
        if (guard === null) writeOutput(out, action.port);
        else writeGuardedOutput(out, action.port, guard.outputTable);
        break;
      case "output-in-port":
        if (guard === null) writeOutput(out, OFPP.IN_PORT);
        else writeGuardedOutput(out, IN_PORT_16, guard.outputTable);
        break;
    }
  }
}

export function writeOutput(out: Output, port: number): void {
  out.u16(OFPAT.OUTPUT);
  out.u16(16);
  out.u32(port);
  out.u16(WHOLE_PACKET);
  out.zeros(6);
}

function writeArpReply(out: Output, a: Extract<FlowAction, { kind: "arp-reply" }>): void {
  writeSetMac(out, OXM.ETH_SRC, a.mac);
  writeSetMac(out, OXM.ETH_DST, a.toMac);
  writeSet16(out, OXM.ARP_OP, ARP_OP.REPLY);
  writeSetMac(out, OXM.ARP_SHA, a.mac);
  writeSet32(out, OXM.ARP_SPA, a.ip);
  writeSetMac(out, OXM.ARP_THA, a.toMac);
  writeSet32(out, OXM.ARP_TPA, a.toIp);
}

export function writeSetTunnel(out: Output, key: number, dst: number): void {
  out.u16(OFPAT.SET_FIELD);
  out.u16(16);
  out.u32(OXM.TUNNEL_ID);
  out.u32(0);
  out.u32(key & 0xff_ffff);
  writeSet32(out, OXM.TUN_DST, dst);
}

/** To the port whose number register 1 holds. */
export function writeOutputReg1(out: Output): void {
  out.u16(OFPAT.EXPERIMENTER);
  out.u16(24);
  out.u32(NX_VENDOR);
  out.u16(NXAST.OUTPUT_REG);
  out.u16((0 << 6) | 31);
  out.u32(OXM.REG1);
  out.u16(WHOLE_PACKET);
  out.zeros(6);
}

function writeGuardedOutput(out: Output, port: number, table: number): void {
  writeSet32(out, OXM.REG1, port);
  writeResubmit(out, table);
}

function writeCheckLength(out: Output, longestBytes: number): void {
  out.u16(OFPAT.EXPERIMENTER);
  out.u16(24);
  out.u32(NX_VENDOR);
  out.u16(NXAST.CHECK_PKT_LARGER);
  out.u16(longestBytes);
  out.u16(0);
  out.u32(OXM.REG0);
  out.zeros(6);
}

function writeResubmit(out: Output, table: number): void {
  out.u16(OFPAT.EXPERIMENTER);
  out.u16(16);
  out.u32(NX_VENDOR);
  out.u16(NXAST.RESUBMIT_TABLE);
  out.u16(IN_PORT_16);
  out.u8(table);
  out.zeros(3);
}

/** An action of eight bytes; `word` follows type and length. */
function writeWord(out: Output, type: number, word: number): void {
  out.u16(type);
  out.u16(8);
  out.u32(word);
}

function writeSetTtl(out: Output, ttl: number): void {
  writeWord(out, OFPAT.SET_NW_TTL, (ttl << 24) >>> 0);
}

function writeSet16(out: Output, field: number, v: number): void {
  out.u16(OFPAT.SET_FIELD);
  out.u16(16);
  out.u32(field);
  out.u16(v);
  out.zeros(6);
}

function writeSet32(out: Output, field: number, v: number): void {
  out.u16(OFPAT.SET_FIELD);
  out.u16(16);
  out.u32(field);
  out.u32(v);
  out.zeros(4);
}

function writeSetMac(out: Output, field: number, mac: number): void {
  out.u16(OFPAT.SET_FIELD);
  out.u16(16);
  out.u32(field);
  out.u16(Math.floor(mac / 0x1_0000_0000));
  out.u32(mac >>> 0);
  out.zeros(2);
}
