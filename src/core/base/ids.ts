/** Branded ids and units: a `PortId` is not a `BridgeId`, though both are lower-case UUID texts. Errors: none. */

declare const brand: unique symbol;
export type Branded<T, B extends string> = T & { readonly [brand]: B };

export type PortId = Branded<string, "PortId">;
export type BridgeId = Branded<string, "BridgeId">;
export type RouterId = Branded<string, "RouterId">;
export type ChainId = Branded<string, "ChainId">;
export type RuleId = Branded<string, "RuleId">;
export type RouteId = Branded<string, "RouteId">;
export type HostId = Branded<string, "HostId">;
export type TunnelZoneId = Branded<string, "TunnelZoneId">;
export type PortGroupId = Branded<string, "PortGroupId">;
export type IpAddrGroupId = Branded<string, "IpAddrGroupId">;
export type TraceRequestId = Branded<string, "TraceRequestId">;
export type FlowTraceId = Branded<string, "FlowTraceId">;
/** Owner of devices; the empty string is "nobody" (only an administrator may touch the device). */
export type TenantId = Branded<string, "TenantId">;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for the canonical lower-case text of RFC 9562 §4. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
