/**
 * A condition as it is stored and as REST carries it: MidoNet's field names, absent = unset. Present fields are and-ed,
 * each with its own inversion; `condInvert` inverts the result; the fragment policy is tested first and alone.
 */
export interface Condition {
  readonly condInvert?: boolean;
  readonly matchForwardFlow?: boolean;
  readonly matchReturnFlow?: boolean;
  readonly inPorts?: readonly string[];
  readonly invInPorts?: boolean;
  readonly outPorts?: readonly string[];
  readonly invOutPorts?: boolean;
  /** Group of the first exterior port the packet entered by. */
  readonly portGroup?: string;
  readonly invPortGroup?: boolean;
  /** Groups of the current device's in-port and out-port. */
  readonly inPortGroup?: string;
  readonly invInPortGroup?: boolean;
  readonly outPortGroup?: string;
  readonly invOutPortGroup?: boolean;
  readonly ipAddrGroupSrc?: string;
  readonly invIpAddrGroupSrc?: boolean;
  readonly ipAddrGroupDst?: string;
  readonly invIpAddrGroupDst?: boolean;
  readonly traversedDevice?: string;
  readonly invTraversedDevice?: boolean;
  readonly noVlan?: boolean;
  /** 1..4094, compared with the outermost tag. */
  readonly vlan?: number;
  /** 0x0600..0xffff */
  readonly dlType?: number;
  readonly invDlType?: boolean;
  readonly dlSrc?: string;
  /** "ffff.ff00.0000" */
  readonly dlSrcMask?: string;
  readonly invDlSrc?: boolean;
  readonly dlDst?: string;
  readonly dlDstMask?: string;
  readonly invDlDst?: boolean;
  readonly nwTos?: number;
  readonly invNwTos?: boolean;
  readonly nwProto?: number;
  readonly invNwProto?: boolean;
  readonly nwSrcAddress?: string;
  /** 0..32; absent: that one address (32). */
  readonly nwSrcLength?: number;
  readonly invNwSrc?: boolean;
  readonly nwDstAddress?: string;
  readonly nwDstLength?: number;
  readonly invNwDst?: boolean;
  /** Inclusive; a null bound is open. For ICMP: the type. */
  readonly tpSrc?: PortRange;
  readonly invTpSrc?: boolean;
  /** For ICMP: the code. */
  readonly tpDst?: PortRange;
  readonly invTpDst?: boolean;
  readonly fragmentPolicy?: FragmentPolicy;
  readonly icmpDataSrcIpAddress?: string;
  readonly icmpDataSrcIpLength?: number;
  readonly invIcmpDataSrcIp?: boolean;
  readonly icmpDataDstIpAddress?: string;
  readonly icmpDataDstIpLength?: number;
  readonly invIcmpDataDstIp?: boolean;
  readonly matchNwDstRewritten?: boolean;
}

export interface PortRange {
  readonly start: number | null;
  readonly end: number | null;
}

export type FragmentPolicy = "any" | "header" | "nonheader" | "unfragmented";

/** What a condition means when it does not say: "header" with L4 fields, else "any". */
export function effectiveFragmentPolicy(c: Condition): FragmentPolicy {
  return c.fragmentPolicy ?? (c.tpSrc !== undefined || c.tpDst !== undefined ? "header" : "any");
}
