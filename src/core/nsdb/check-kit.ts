import type { DeviceType, TopologyRecords } from "#core/topology";
import type { Device } from "./filters.ts";
import type { NsdbTree } from "./tree.ts";

/** Collects what does not hold. */
export class Check {
  readonly findings: string[] = [];
  readonly tree: NsdbTree;
  readonly t: TopologyRecords;
  readonly devices: ReadonlyMap<string, { readonly type: DeviceType; readonly record: Device }>;
  /** Paths of nodes whose data cannot be read, and why. */
  readonly bad: ReadonlyMap<string, string>;

  constructor(tree: NsdbTree, t: TopologyRecords, bad: ReadonlyMap<string, string>) {
    this.tree = tree;
    this.t = t;
    this.bad = bad;
    const entry = (type: DeviceType) => (record: Device) => [record.id as string, { type, record }] as const;
    this.devices = new Map([
      ...t.bridges.map(entry("BRIDGE")),
      ...t.routers.map(entry("ROUTER")),
      ...t.ports.map(entry("PORT")),
    ]);
  }

  say(holds: boolean, finding: string): void {
    if (!holds) this.findings.push(finding);
  }

  /** The node's data; null when there is none or it cannot be read. */
  text(path: string): string | null {
    return this.bad.has(path) ? null : (this.tree.get(path)?.data ?? null);
  }

  /** The children of `path` are exactly these. */
  same(path: string, expected: Iterable<string>): void {
    const [is, shall] = [[...this.tree.childNames(path)].sort(), [...expected].sort()];
    this.say(is.join() === shall.join(), `${path} has [${is.join(", ")}], not [${shall.join(", ")}]`);
  }
}
