import type { Identity } from "#core/identity";
import type { PortRecord } from "#core/topology";
import type { OwnedKind, Ownership } from "./ownership.ts";

/** What a tenant sees of its own objects where something of others is in them. The administrator sees everything. */
export class Sight {
  private readonly owners: Ownership;

  constructor(owners: Ownership) {
    this.owners = owners;
  }

  /** @throws MidotraceError STORE_UNAVAILABLE, as the others. */
  async sees(who: Identity, kind: OwnedKind, id: string): Promise<boolean> {
    if (who.admin) return true;
    const owned = await this.owners.find(kind, id);
    return owned !== null && who.tenantId !== "" && owned.tenantId === who.tenantId;
  }

  async own<T>(who: Identity, kind: OwnedKind, objects: readonly T[], idOf: (object: T) => string): Promise<T[]> {
    if (who.admin) return [...objects];
    const seen = await Promise.all(objects.map((o) => this.sees(who, kind, idOf(o))));
    return objects.filter((_, i) => seen[i]);
  }

  /** A port as its owner sees it: where it is plugged in is the administrator's. */
  port(who: Identity, port: PortRecord): PortRecord {
    return who.admin ? port : { ...port, hostId: null, interfaceName: null };
  }
}
