import { F, FRAGMENT } from "#core/flows";
import { parseIpv4, parseMac, prefixMask } from "#core/packets";
import { type Condition, effectiveFragmentPolicy } from "./condition.ts";

/** Sub-conditions in the order they are tested (MidoNet's order), one bit each. */
export const C = {
  ForwardFlow: 1 << 0,
  ReturnFlow: 1 << 1,
  PortGroup: 1 << 2,
  InPorts: 1 << 3,
  OutPorts: 1 << 4,
  InPortGroup: 1 << 5,
  OutPortGroup: 1 << 6,
  NoVlan: 1 << 7,
  Vlan: 1 << 8,
  EtherType: 1 << 9,
  EthSrc: 1 << 10,
  EthDst: 1 << 11,
  NwTos: 1 << 12,
  NwProto: 1 << 13,
  NwSrc: 1 << 14,
  NwDst: 1 << 15,
  TpSrc: 1 << 16,
  TpDst: 1 << 17,
  IpGroupSrc: 1 << 18,
  IpGroupDst: 1 << 19,
  TraversedDevice: 1 << 20,
  IcmpDataSrc: 1 << 21,
  IcmpDataDst: 1 << 22,
  NwDstRewritten: 1 << 23,
  /** Not a sub-condition: the fragment policy, for saying what did not match. */
  FragmentPolicy: 1 << 24,
} as const;

export type SubCondition = keyof typeof C;

/** The condition field (REST name) behind each sub-condition, for "which field did not match". */
export const CONDITION_FIELD: Readonly<Record<SubCondition, string>> = {
  ForwardFlow: "matchForwardFlow",
  ReturnFlow: "matchReturnFlow",
  PortGroup: "portGroup",
  InPorts: "inPorts",
  OutPorts: "outPorts",
  InPortGroup: "inPortGroup",
  OutPortGroup: "outPortGroup",
  NoVlan: "noVlan",
  Vlan: "vlan",
  EtherType: "dlType",
  EthSrc: "dlSrc",
  EthDst: "dlDst",
  NwTos: "nwTos",
  NwProto: "nwProto",
  NwSrc: "nwSrcAddress",
  NwDst: "nwDstAddress",
  TpSrc: "tpSrc",
  TpDst: "tpDst",
  IpGroupSrc: "ipAddrGroupSrc",
  IpGroupDst: "ipAddrGroupDst",
  TraversedDevice: "traversedDevice",
  IcmpDataSrc: "icmpDataSrcIpAddress",
  IcmpDataDst: "icmpDataDstIpAddress",
  NwDstRewritten: "matchNwDstRewritten",
  FragmentPolicy: "fragmentPolicy",
};

const NAME_OF_BIT = new Map<number, SubCondition>(
  (Object.keys(C) as SubCondition[]).map((name) => [C[name], name] as const),
);

export function conditionFieldOfBit(bit: number): string {
  const name = NAME_OF_BIT.get(bit);
  return name === undefined ? "" : CONDITION_FIELD[name];
}

/** Bit n set: fragment kind n (FRAGMENT.*) is accepted. */
const FRAGMENT_KINDS = {
  any: (1 << FRAGMENT.NONE) | (1 << FRAGMENT.FIRST) | (1 << FRAGMENT.LATER),
  header: (1 << FRAGMENT.NONE) | (1 << FRAGMENT.FIRST),
  nonheader: 1 << FRAGMENT.LATER,
  unfragmented: 1 << FRAGMENT.NONE,
} as const;
export const ANY_FRAGMENT: number = FRAGMENT_KINDS.any;

/**
 * A condition ready for the packet path: one class, every field always there, texts turned to numbers. `present` says
 * which sub-conditions are set, `inverted` which of them are inverted.
 */
export class CompiledCondition {
  readonly source: Condition;
  present = 0;
  inverted = 0;
  invertAll = false;
  /** The protocol is IP's: an ARP operation of the same number does not match (see ArmedTrace). */
  readonly protocolOfIp: boolean;
  fragments: number = ANY_FRAGMENT;
  inPorts: ReadonlySet<string> = NOTHING;
  outPorts: ReadonlySet<string> = NOTHING;
  portGroup = "";
  inPortGroup = "";
  outPortGroup = "";
  ipGroupSrc = "";
  ipGroupDst = "";
  traversedDevice = "";
  vlan = 0;
  etherType = 0;
  ethSrcHigh = 0;
  ethSrcLow = 0;
  ethSrcMaskHigh = 0xffff;
  ethSrcMaskLow = 0xffff_ffff;
  ethDstHigh = 0;
  ethDstLow = 0;
  ethDstMaskHigh = 0xffff;
  ethDstMaskLow = 0xffff_ffff;
  nwTos = 0;
  nwProto = 0;
  nwSrc = 0;
  nwSrcBits = 32;
  nwSrcMask = 0xffff_ffff;
  nwDst = 0;
  nwDstBits = 32;
  nwDstMask = 0xffff_ffff;
  tpSrcStart = 0;
  tpSrcEnd = 0xffff;
  tpDstStart = 0;
  tpDstEnd = 0xffff;
  icmpDataSrc = 0;
  icmpDataSrcMask = 0xffff_ffff;
  icmpDataDst = 0;
  icmpDataDstMask = 0xffff_ffff;

  /** @param c a valid condition (see validateCondition); texts that do not parse count as unset. */
  constructor(c: Condition, protocolOfIp = false) {
    this.source = c;
    this.protocolOfIp = protocolOfIp;
    this.invertAll = c.condInvert === true;
    this.fragments = FRAGMENT_KINDS[effectiveFragmentPolicy(c)];
    if (c.matchForwardFlow === true) this.set(C.ForwardFlow, false);
    if (c.matchReturnFlow === true) this.set(C.ReturnFlow, false);
    if (c.portGroup !== undefined) this.set(C.PortGroup, c.invPortGroup);
    this.portGroup = c.portGroup ?? "";
    if (c.inPorts !== undefined && c.inPorts.length > 0) this.set(C.InPorts, c.invInPorts);
    this.inPorts = new Set(c.inPorts ?? []);
    if (c.outPorts !== undefined && c.outPorts.length > 0) this.set(C.OutPorts, c.invOutPorts);
    this.outPorts = new Set(c.outPorts ?? []);
    if (c.inPortGroup !== undefined) this.set(C.InPortGroup, c.invInPortGroup);
    this.inPortGroup = c.inPortGroup ?? "";
    if (c.outPortGroup !== undefined) this.set(C.OutPortGroup, c.invOutPortGroup);
    this.outPortGroup = c.outPortGroup ?? "";
    if (c.noVlan === true) this.set(C.NoVlan, false);
    if (c.vlan !== undefined && c.vlan !== 0) this.set(C.Vlan, false);
    this.vlan = c.vlan ?? 0;
    if (c.dlType !== undefined) this.set(C.EtherType, c.invDlType);
    this.etherType = c.dlType ?? 0;
    this.compileMacs(c);
    this.compileIp(c);
    if (c.tpSrc !== undefined) this.set(C.TpSrc, c.invTpSrc);
    this.tpSrcStart = c.tpSrc?.start ?? 0;
    this.tpSrcEnd = c.tpSrc?.end ?? 0xffff;
    if (c.tpDst !== undefined) this.set(C.TpDst, c.invTpDst);
    this.tpDstStart = c.tpDst?.start ?? 0;
    this.tpDstEnd = c.tpDst?.end ?? 0xffff;
    if (c.ipAddrGroupSrc !== undefined) this.set(C.IpGroupSrc, c.invIpAddrGroupSrc);
    this.ipGroupSrc = c.ipAddrGroupSrc ?? "";
    if (c.ipAddrGroupDst !== undefined) this.set(C.IpGroupDst, c.invIpAddrGroupDst);
    this.ipGroupDst = c.ipAddrGroupDst ?? "";
    if (c.traversedDevice !== undefined) this.set(C.TraversedDevice, c.invTraversedDevice);
    this.traversedDevice = c.traversedDevice ?? "";
    if (c.matchNwDstRewritten === true) this.set(C.NwDstRewritten, false);
  }

  private set(bit: number, inverted: boolean | undefined): void {
    this.present |= bit;
    if (inverted === true) this.inverted |= bit;
  }

  private compileMacs(c: Condition): void {
    const src = c.dlSrc === undefined ? null : parseMac(c.dlSrc);
    if (src !== null) {
      this.set(C.EthSrc, c.invDlSrc);
      [this.ethSrcMaskHigh, this.ethSrcMaskLow] = parseMacMask(c.dlSrcMask);
      [this.ethSrcHigh, this.ethSrcLow] = splitMac(src);
    }
    const dst = c.dlDst === undefined ? null : parseMac(c.dlDst);
    if (dst !== null) {
      this.set(C.EthDst, c.invDlDst);
      [this.ethDstMaskHigh, this.ethDstMaskLow] = parseMacMask(c.dlDstMask);
      [this.ethDstHigh, this.ethDstLow] = splitMac(dst);
    }
  }

  private compileIp(c: Condition): void {
    if (c.nwTos !== undefined && c.nwTos !== 0) this.set(C.NwTos, c.invNwTos);
    this.nwTos = c.nwTos ?? 0;
    if (c.nwProto !== undefined && c.nwProto !== 0) this.set(C.NwProto, c.invNwProto);
    this.nwProto = c.nwProto ?? 0;
    const src = c.nwSrcAddress === undefined ? null : parseIpv4(c.nwSrcAddress);
    if (src !== null) {
      this.set(C.NwSrc, c.invNwSrc);
      this.nwSrcBits = c.nwSrcLength ?? 32;
      this.nwSrcMask = prefixMask(this.nwSrcBits);
      this.nwSrc = (src & this.nwSrcMask) >>> 0;
    }
    const dst = c.nwDstAddress === undefined ? null : parseIpv4(c.nwDstAddress);
    if (dst !== null) {
      this.set(C.NwDst, c.invNwDst);
      this.nwDstBits = c.nwDstLength ?? 32;
      this.nwDstMask = prefixMask(this.nwDstBits);
      this.nwDst = (dst & this.nwDstMask) >>> 0;
    }
    const dataSrc = c.icmpDataSrcIpAddress === undefined ? null : parseIpv4(c.icmpDataSrcIpAddress);
    if (dataSrc !== null) {
      this.set(C.IcmpDataSrc, c.invIcmpDataSrcIp);
      this.icmpDataSrcMask = prefixMask(c.icmpDataSrcIpLength ?? 32);
      this.icmpDataSrc = (dataSrc & this.icmpDataSrcMask) >>> 0;
    }
    const dataDst = c.icmpDataDstIpAddress === undefined ? null : parseIpv4(c.icmpDataDstIpAddress);
    if (dataDst !== null) {
      this.set(C.IcmpDataDst, c.invIcmpDataDstIp);
      this.icmpDataDstMask = prefixMask(c.icmpDataDstIpLength ?? 32);
      this.icmpDataDst = (dataDst & this.icmpDataDstMask) >>> 0;
    }
  }

  /** Header fields that evaluation may read, for saying how narrow a flow has to be. */
  get readsFields(): number {
    let f = this.fragments === ANY_FRAGMENT ? 0 : F.Fragment;
    for (const [bit, field] of FIELDS_READ) if ((this.present & bit) !== 0) f |= field;
    return f;
  }
}

const NOTHING: ReadonlySet<string> = new Set();

/** Header fields that a sub-condition depends on; those that are not here depend on ports and devices only. */
export const FIELDS_READ: ReadonlyMap<number, number> = new Map([
  [C.NoVlan, F.Vlan],
  [C.Vlan, F.Vlan],
  [C.EtherType, F.EtherType],
  [C.EthSrc, F.EthSrc],
  [C.EthDst, F.EthDst],
  [C.NwTos, F.NwTos],
  [C.NwProto, F.NwProto],
  [C.NwSrc, F.NwSrc | F.EtherType],
  [C.NwDst, F.NwDst | F.EtherType],
  [C.TpSrc, F.TpSrc | F.NwProto],
  [C.TpDst, F.TpDst | F.NwProto],
  [C.IpGroupSrc, F.NwSrc | F.EtherType],
  [C.IpGroupDst, F.NwDst | F.EtherType],
  [C.IcmpDataSrc, F.IcmpData],
  [C.IcmpDataDst, F.IcmpData],
  [C.NwDstRewritten, F.NwDst | F.EtherType],
]);

function splitMac(mac: number): [high: number, low: number] {
  return [Math.floor(mac / 0x1_0000_0000), mac >>> 0];
}

const MAC_MASK = /^([0-9a-fA-F]{4})\.([0-9a-fA-F]{4})\.([0-9a-fA-F]{4})$/;

/** "ffff.ff00.0000" as [upper 16 bits, lower 32 bits]; all ones when absent or malformed. */
export function parseMacMask(text: string | undefined): [high: number, low: number] {
  const m = text === undefined ? null : MAC_MASK.exec(text);
  if (m === null) return [0xffff, 0xffff_ffff];
  return [Number.parseInt(m[1] as string, 16), Number.parseInt(`${m[2]}${m[3]}`, 16)];
}

export function isMacMask(text: string): boolean {
  return MAC_MASK.test(text);
}
