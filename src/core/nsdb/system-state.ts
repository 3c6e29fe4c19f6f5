/** The state of the whole system as administrators set it: one node, absent until somebody does. */
import { decode, encode, nullable, object, oneOf, text } from "./codec.ts";
import { type Ctx, patched } from "./objects.ts";
import { SYSTEM_STATE } from "./paths.ts";

export const SYSTEM_STATES = ["ACTIVE", "UPGRADE"] as const;
export const AVAILABILITIES = ["READWRITE", "READONLY"] as const;

export interface SystemState {
  readonly state: (typeof SYSTEM_STATES)[number];
  /** READONLY: API servers refuse to change the virtual network. */
  readonly availability: (typeof AVAILABILITIES)[number];
  /** Null: nobody has set one. */
  readonly writeVersion: string | null;
}

export type SystemStatePatch = { readonly [K in keyof SystemState]?: SystemState[K] | undefined };

const DEFAULT: SystemState = { state: "ACTIVE", availability: "READWRITE", writeVersion: null };

export const readSystemState = object<SystemState>({
  state: oneOf(...SYSTEM_STATES),
  availability: oneOf(...AVAILABILITIES),
  writeVersion: nullable(text()),
});

export async function getSystemState(c: Ctx): Promise<SystemState> {
  const data = await c.tx.get(SYSTEM_STATE);
  return data === null ? DEFAULT : decode(readSystemState, data, SYSTEM_STATE);
}

export async function updateSystemState(c: Ctx, patch: SystemStatePatch): Promise<SystemState> {
  const exists = (await c.tx.get(SYSTEM_STATE)) !== null;
  const state = patched(await getSystemState(c), patch);
  const text = encode(readSystemState, state, SYSTEM_STATE);
  if (exists) c.tx.set(SYSTEM_STATE, text);
  else c.tx.create(SYSTEM_STATE, text);
  return state;
}
