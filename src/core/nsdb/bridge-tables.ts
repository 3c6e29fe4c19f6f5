/**
 * What administrators write into a bridge's tables, inside a transaction: MACs that are behind a port for good, and MACs of
 * IP addresses. Of one MAC and VLAN there is one entry; the last one written counts.
 */
import type { BridgeId, PortId } from "#core/base";
import type { PortRecord } from "#core/topology";
import { decode, encode, object, text } from "./codec.ts";
import { BRIDGE, PORT } from "./kinds.ts";
import { type Ctx, EMPTY, invalid, need, pathOf } from "./objects.ts";
import { arpSeedsPath, staticMacPath, staticMacsPath } from "./paths.ts";

export interface StaticMac {
  /** "aa:bb:cc:dd:ee:ff" */
  readonly mac: string;
  readonly portId: PortId;
  /** 0: untagged. */
  readonly vlan: number;
}

export interface ArpSeed {
  /** Dotted quad. */
  readonly ip: string;
  readonly mac: string;
}

export const readStaticMac = object<{ readonly portId: PortId }>({ portId: text<PortId>() });

/** @returns null for a name that is none of an entry. */
export function parseStaticMac(name: string): { readonly vlan: number; readonly mac: string } | null {
  const m = /^(\d{1,4}),((?:[0-9a-f]{2}:){5}[0-9a-f]{2})$/.exec(name);
  return m === null ? null : { vlan: Number(m[1]), mac: m[2] as string };
}

/**
 * @param entry with MAC and VLAN in canonical form.
 * @throws MidotraceError NOT_FOUND for bridge or port; VALIDATION when the port is another device's, or of another VLAN.
 */
export async function setStaticMac(c: Ctx, bridge: BridgeId, entry: StaticMac): Promise<void> {
  await need(c, BRIDGE, bridge);
  const port: PortRecord = await need(c, PORT, entry.portId);
  if (port.type !== "Bridge" || port.deviceId !== bridge)
    throw invalid("MAC table entry", "portId", `must be a port of bridge ${bridge}`);
  // What comes in by a VLAN port is known under its VLAN; a port without one carries every VLAN.
  if (port.vlanId !== 0 && port.vlanId !== entry.vlan)
    throw invalid("MAC table entry", "vlanId", `must be ${port.vlanId}, the VLAN of port ${port.id}`);
  // So that an entry and the deletion of its port meet in one node.
  await c.tx.touch(pathOf(PORT, port.id));
  await directory(c, staticMacsPath(bridge));
  const path = staticMacPath(bridge, entry.vlan, entry.mac);
  await write(c, path, encode(readStaticMac, { portId: port.id }, path));
}

/** @returns whether there was such an entry. @throws MidotraceError NOT_FOUND for the bridge. */
export async function removeStaticMac(c: Ctx, bridge: BridgeId, entry: StaticMac): Promise<boolean> {
  await need(c, BRIDGE, bridge);
  const path = staticMacPath(bridge, entry.vlan, entry.mac);
  const data = await c.tx.get(path);
  if (data === null || decode(readStaticMac, data, path).portId !== entry.portId) return false;
  return c.tx.delete(path);
}

/** Takes the entries of a port away that is about to be deleted. */
export async function dropStaticMacsOf(c: Ctx, port: PortRecord): Promise<void> {
  if (port.type !== "Bridge") return;
  const paths = (await c.tx.children(staticMacsPath(port.deviceId))).map(
    (n) => `${staticMacsPath(port.deviceId)}/${n}`,
  );
  const texts = await c.tx.peekMany(paths);
  for (const [i, path] of paths.entries()) {
    const data = texts[i] ?? null;
    if (data !== null && decode(readStaticMac, data, path).portId === port.id) await c.tx.delete(path);
  }
}

/** @throws MidotraceError NOT_FOUND for the bridge. */
export async function setArpSeed(c: Ctx, bridge: BridgeId, { ip, mac }: ArpSeed): Promise<void> {
  await need(c, BRIDGE, bridge);
  await directory(c, arpSeedsPath(bridge));
  await write(c, `${arpSeedsPath(bridge)}/${ip},${mac}`, EMPTY);
}

/** @returns whether there was such an entry. @throws MidotraceError NOT_FOUND for the bridge. */
export async function removeArpSeed(c: Ctx, bridge: BridgeId, { ip, mac }: ArpSeed): Promise<boolean> {
  await need(c, BRIDGE, bridge);
  return c.tx.delete(`${arpSeedsPath(bridge)}/${ip},${mac}`);
}

/** @throws MidotraceError NOT_FOUND for the bridge. */
export async function listArpSeeds(c: Ctx, bridge: BridgeId): Promise<ArpSeed[]> {
  await need(c, BRIDGE, bridge);
  const names = await c.tx.children(arpSeedsPath(bridge));
  return names.flatMap((name) => {
    const [ip, mac] = name.split(",");
    return ip === undefined || mac === undefined ? [] : [{ ip, mac }];
  });
}

/** Made with the first entry: bridges of older stores have none. */
async function directory(c: Ctx, path: string): Promise<void> {
  if ((await c.tx.get(path)) === null) c.tx.create(path, EMPTY);
}

async function write(c: Ctx, path: string, data: string): Promise<void> {
  if ((await c.tx.get(path)) === null) c.tx.create(path, data);
  else c.tx.set(path, data);
}
