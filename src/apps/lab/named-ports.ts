import { isUuid, MidotraceError } from "#core/base";
import type { TopologyRecords } from "#core/topology";

export interface NamedPort {
  readonly id: string;
  /** "red-web/red-1" */
  readonly name: string;
}

/** Ports by what people call them. */
export class NamedPorts {
  private readonly byId = new Map<string, NamedPort>();
  private readonly byName = new Map<string, NamedPort[]>();

  constructor({ bridges, routers, ports }: Pick<TopologyRecords, "bridges" | "routers" | "ports">) {
    const devices = new Map<string, string>([...bridges, ...routers].map((d) => [d.id, d.name]));
    for (const { id, deviceId, name } of ports) {
      const named = { id, name: `${devices.get(deviceId) ?? deviceId}/${name === "" ? id : name}` };
      this.byId.set(id, named);
      this.byName.set(named.name, [...(this.byName.get(named.name) ?? []), named]);
    }
  }

  /** @throws MidotraceError NOT_FOUND; CONFLICT when several ports have the name. */
  find(ref: string): NamedPort {
    const byId = isUuid(ref.toLowerCase()) ? this.byId.get(ref.toLowerCase()) : undefined;
    const [first, ...others] = byId === undefined ? (this.byName.get(ref) ?? []) : [byId];
    if (first === undefined)
      throw new MidotraceError("NOT_FOUND", `there is no port ${ref} (write it as device/port, or as its id)`);
    if (others.length === 0) return first;
    const ids = [first, ...others].map((p) => p.id).join(", ");
    throw new MidotraceError("CONFLICT", `${others.length + 1} ports are called ${ref}; name one by its id: ${ids}`);
  }
}
