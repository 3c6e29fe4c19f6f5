import type { DatapathPort } from "#core/datapath";
import { isOurs, TUNNEL_NAME } from "./switch-plan.ts";
import { bridgeOf, type InterfaceRow, portsOf, type SwitchRows } from "./switch-tables.ts";

/** Remembers which ports were reported, and finds what is to be reported next. */
export class PortReporter {
  private readonly bridge: string;
  private reported = new Map<string, DatapathPort>();

  constructor(bridge: string) {
    this.bridge = bridge;
  }

  /**
   * What differs from what was reported: ports that went, then ports that came or changed.
   *
   * @param bound null: not known yet, so that every port of ours counts.
   * @param settled the numbers in the database are those of the running switch; if not, only what went is said.
   */
  changes(rows: SwitchRows, bound: readonly string[] | null, settled: boolean): [string, DatapathPort | null][] {
    const now = this.ports(rows, bound);
    const changes: [string, DatapathPort | null][] = [];
    for (const name of this.reported.keys()) if (!now.has(name)) changes.push([name, null]);
    for (const [name] of changes) this.reported.delete(name);
    if (!settled) return changes;
    for (const [name, port] of now) {
      if (port === null || same(port, this.reported.get(name))) continue;
      this.reported.set(name, port);
      changes.push([name, port]);
    }
    return changes;
  }

  /** Nothing counts as reported any more. @returns the names of what did. */
  forget(): string[] {
    const names = [...this.reported.keys()];
    this.reported.clear();
    return names;
  }

  /** Ports that the switch could not make, in an operator's words. */
  problems(rows: SwitchRows): string[] {
    const bridge = bridgeOf(rows, this.bridge);
    if (bridge === null) return [];
    return portsOf(rows, bridge.row)
      .filter((p) => isOurs(p, this.bridge) && (p.interface.ofport ?? -1) <= 0)
      .map((p) => `ovs-vswitchd to make port ${p.interface.name} (${p.interface.error ?? "it says nothing"})`);
  }

  /** null: the port is there, and its number or state is not known (yet). */
  private ports(rows: SwitchRows, bound: readonly string[] | null): Map<string, DatapathPort | null> {
    const ports = new Map<string, DatapathPort | null>();
    const bridge = bridgeOf(rows, this.bridge);
    if (bridge === null) return ports;
    const wanted = bound === null ? null : new Set(bound);
    for (const port of portsOf(rows, bridge.row)) {
      const { name } = port.interface;
      if (name === this.bridge) continue;
      const tunnel = name === TUNNEL_NAME;
      if (!tunnel && !(wanted === null ? isOurs(port, this.bridge) : wanted.has(name))) continue;
      ports.set(name, numbered(port.interface, tunnel ? "tunnel" : "vm"));
    }
    return ports;
  }
}

function numbered(row: InterfaceRow, kind: "vm" | "tunnel"): DatapathPort | null {
  if (row.ofport === null || row.ofport <= 0) return null;
  // The database does not keep the states: after its restart they are missing until the daemon has written them again.
  if (row.link_state === null || row.admin_state === null) return null;
  return { ofport: row.ofport, name: row.name, kind, up: row.link_state === "up" && row.admin_state === "up" };
}

function same(a: DatapathPort, b: DatapathPort | undefined): boolean {
  return b !== undefined && a.ofport === b.ofport && a.up === b.up && a.kind === b.kind;
}
