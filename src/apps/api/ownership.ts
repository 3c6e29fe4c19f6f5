import type { PathOwner } from "#core/api-contract";
import type { Nsdb } from "#core/nsdb";

/** An object, as far as authorisation looks at it. */
export interface Owned {
  /** "" for nobody's. */
  readonly tenantId: string;
  /** Its fields, under the names that the store has for them. */
  readonly record: Readonly<Record<string, unknown>>;
}

export type OwnedKind = Exclude<PathOwner, "tenant">;
type Identified = { readonly id: string };

/**
 * Whose an object is (midonet-rest section 5): a bridge, router, chain or port group says it itself; a port is its device's,
 * a rule its chain's, a route its router's, a trace request its device's.
 */
export class Ownership {
  private readonly nsdb: Nsdb;

  constructor(nsdb: Nsdb) {
    this.nsdb = nsdb;
  }

  /** Null when there is no such object. @throws MidotraceError STORE_UNAVAILABLE */
  async find(kind: OwnedKind, id: string): Promise<Owned | null> {
    const { bridges, routers, chains, portGroups, ports, rules, routes, traces } = this.nsdb;
    switch (kind) {
      case "bridge":
        return own(await bridges.find(id));
      case "router":
        return own(await routers.find(id));
      case "chain":
        return own(await chains.find(id));
      case "port-group":
        return own(await portGroups.find(id));
      case "port": {
        const port = await ports.find(id);
        return port === null
          ? null
          : through(port, await this.find(port.type === "Bridge" ? "bridge" : "router", port.deviceId));
      }
      case "rule": {
        const rule = await rules.find(id as Parameters<typeof rules.find>[0]);
        return rule === null ? null : through(rule, await this.find("chain", rule.chainId));
      }
      case "route": {
        const route = await routes.find(id);
        return route === null ? null : through(route, await this.find("router", route.routerId));
      }
      case "trace": {
        const trace = await traces.find(id);
        if (trace === null) return null;
        const on = ({ BRIDGE: "bridge", ROUTER: "router", PORT: "port" } as const)[trace.deviceType];
        return through(trace, await this.find(on, trace.deviceId));
      }
    }
  }
}

function own(record: (Identified & { readonly tenantId: string }) | null): Owned | null {
  return record === null ? null : { tenantId: record.tenantId, record: { ...record } };
}

/** Of the object that it is part of; nobody's when that is gone. */
function through(record: Identified, of: Owned | null): Owned {
  return { tenantId: of?.tenantId ?? "", record: { ...record } };
}
