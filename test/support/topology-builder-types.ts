import type { ChainId, RuleId } from "#core/base";
import type { Condition, NatFlowAction, NatTarget, RouteRecord, RuleRecord } from "#core/topology";

export interface DeviceOptions {
  readonly tenant?: string;
  readonly up?: boolean;
  /** Chain names. */
  readonly inFilter?: string;
  readonly outFilter?: string;
}

export interface PortOptions {
  readonly up?: boolean;
  readonly inFilter?: string;
  readonly outFilter?: string;
  /** Host name (made when it is new) and interface: the port is bound. */
  readonly host?: string;
  readonly ifName?: string;
  /** The interface is up on the host; default true for bound ports. */
  readonly active?: boolean;
  readonly vlan?: number;
  readonly mac?: string;
}

export type RuleInput = { readonly condition?: Condition; readonly meter?: string } & (
  | { readonly type: "accept" | "drop" | "reject" | "return" }
  | { readonly type: "jump"; readonly to: string }
  | { readonly type: "snat" | "dnat"; readonly flowAction?: NatFlowAction; readonly targets?: readonly NatTarget[] }
  | { readonly type: "rev_snat" | "rev_dnat"; readonly flowAction?: NatFlowAction }
  | { readonly type: "l2_transform" }
);

export interface RouteInput {
  /** "a.b.c.d/n", default 0.0.0.0/0 */
  readonly src?: string;
  readonly dst?: string;
  readonly type?: RouteRecord["type"];
  /** Port name ("r1/p1" or "p1"). */
  readonly port?: string;
  readonly gateway?: string;
  /** Default 100. */
  readonly weight?: number;
}

/** @param chainIdOf for the target of a jump. */
export function ruleRecord(
  id: RuleId,
  chainId: ChainId,
  r: RuleInput,
  chainIdOf: (name: string) => ChainId,
): RuleRecord {
  const common = { id, chainId, condition: r.condition ?? {}, meterName: r.meter ?? null };
  switch (r.type) {
    case "jump":
      return { ...common, type: r.type, jumpChainId: chainIdOf(r.to) };
    case "snat":
    case "dnat":
      return { ...common, type: r.type, flowAction: r.flowAction ?? "accept", natTargets: r.targets ?? [] };
    case "rev_snat":
    case "rev_dnat":
      return { ...common, type: r.type, flowAction: r.flowAction ?? "accept" };
    case "l2_transform":
      return {
        ...common,
        type: r.type,
        flowAction: "accept",
        popVlan: false,
        pushVlan: 0,
        targetPortId: null,
        ingress: false,
        failOpen: false,
      };
    case "accept":
    case "drop":
    case "reject":
    case "return":
      return { ...common, type: r.type };
  }
}
