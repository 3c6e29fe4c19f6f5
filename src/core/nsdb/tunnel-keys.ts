import { MidotraceError } from "#core/base";
import { isPortKey } from "#core/flows";
import { encode, decode, int, object, text } from "./codec.ts";
import { broken, type Ctx } from "./objects.ts";
import { TUNNEL_KEYS, tunnelKeyPath } from "./paths.ts";

export const readCounter = object<{ readonly last: number }>({ last: int });
export const readOwner = object<{ readonly ownerId: string }>({ ownerId: text() });

/** Keys tried one after the other before all that are in use are listed. */
const PROBES = 16;

/**
 * Takes the next free key after the one given out last, wrapping at the end: part of the transaction that creates the
 * owner, so that neither exists without the other.
 * @throws MidotraceError TUNNEL_KEYS_EXHAUSTED
 */
export async function allocateTunnelKey(c: Ctx, ownerId: string): Promise<number> {
  const counter = await c.tx.get(TUNNEL_KEYS);
  if (counter === null) throw broken(`${TUNNEL_KEYS} is missing: the store was not initialized`);
  const last = counter === "" ? 0 : decode(readCounter, counter, TUNNEL_KEYS).last;
  const key = await nextFree(c, last);
  if (!isPortKey(key)) throw broken(`${key} is no tunnel key of a port`);
  const path = tunnelKeyPath(key);
  c.tx.create(path, encode(readOwner, { ownerId }, path));
  c.tx.set(TUNNEL_KEYS, encode(readCounter, { last: key }, TUNNEL_KEYS));
  return key;
}

async function nextFree(c: Ctx, last: number): Promise<number> {
  const max = c.maxTunnelKey;
  const key = (i: number): number => ((last + i) % max) + 1;
  const probes = Array.from({ length: Math.min(PROBES, max) }, (_, i) => key(i));
  const found = await c.tx.peekMany(probes.map(tunnelKeyPath));
  const free = probes.find((_, i) => found[i] === null);
  if (free !== undefined) return free;
  const used = new Set(await c.tx.children(TUNNEL_KEYS));
  for (let i = 0; i < max; i++) if (!used.has(String(key(i)))) return key(i);
  throw new MidotraceError("TUNNEL_KEYS_EXHAUSTED", `all ${max} tunnel keys are in use`);
}

export async function freeTunnelKey(c: Ctx, key: number): Promise<void> {
  await c.tx.delete(tunnelKeyPath(key));
}

/** The port that a key's node names. */
export function tunnelKeyOwner(data: string, path: string): string {
  return decode(readOwner, data, path).ownerId;
}
