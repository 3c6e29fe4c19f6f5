import { parseExpression } from "#core/topology";

/** What a field of a body names. A device is a bridge, a router or a port. */
export type ReferenceKind = "chain" | "port" | "port-group" | "device" | "trace";

export interface Reference {
  readonly kind: ReferenceKind;
  /**
   * What a tenant is answered who names an object of others. `missing`: the same as for one that does not exist, so that
   * nobody can find out by trying; `forbidden`: as MidoNet has it.
   */
  readonly foreign: "missing" | "forbidden";
}

const missing = (kind: ReferenceKind): Reference => ({ kind, foreign: "missing" });
const forbidden = (kind: ReferenceKind): Reference => ({ kind, foreign: "forbidden" });

/**
 * Every field by which a tenant's body can name an object: tenants may name their own only, or what stands there already.
 * Null: nothing that belongs to a tenant. A test looks whether a field with a UUID is missing here.
 */
export const REFERENCES: Readonly<Record<string, Reference | null>> = {
  inboundFilterId: missing("chain"),
  outboundFilterId: missing("chain"),
  localRedirectChainId: missing("chain"),
  forwardChainId: missing("chain"),
  jumpChainId: forbidden("chain"),
  inPorts: missing("port"),
  outPorts: missing("port"),
  portGroup: missing("port-group"),
  inPortGroup: missing("port-group"),
  outPortGroup: missing("port-group"),
  traversedDevice: missing("device"),
  portId: missing("port"),
  nextHopPort: missing("port"),
  targetPortId: missing("port"),
  peerId: forbidden("port"),
  requestId: missing("trace"),
  // The object's own id, and what the declaration of the route looks at.
  id: null,
  deviceId: null,
  tenantId: null,
  // Of nobody: IP address groups can be read by everybody; the others are kept for clients' sake and mean nothing here.
  ipAddrGroupSrc: null,
  ipAddrGroupDst: null,
  vifId: null,
  vxLanPortIds: null,
};

export interface NamedObject extends Reference {
  /** Path of the JSON field. */
  readonly property: string;
  readonly id: string;
}

/**
 * The objects that a body names, as its schema has read it; a trace's condition inside it, or written as an expression, too.
 * @throws MidotraceError BAD_EXPRESSION
 */
export function referencesOf(body: unknown, prefix = ""): NamedObject[] {
  if (typeof body !== "object" || body === null) return [];
  return Object.entries(body).flatMap(([field, value]: [string, unknown]): NamedObject[] => {
    if (field === "condition" && prefix === "") return referencesOf(conditionOf(value), "condition.");
    const reference = REFERENCES[field];
    if (reference === undefined || reference === null) return [];
    const ids = (Array.isArray(value) ? value : [value]).filter((id) => typeof id === "string");
    return ids.map((id) => ({ ...reference, property: `${prefix}${field}`, id }));
  });
}

function conditionOf(value: unknown): unknown {
  return typeof value === "string" ? parseExpression(value) : value;
}
