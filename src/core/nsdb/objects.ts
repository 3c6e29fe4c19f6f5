/** Records inside a transaction: what every resource is made of. */
import { type Clock, isUuid, MidotraceError, type Random, Violations } from "#core/base";
import { decode, encode } from "./codec.ts";
import type { Kind } from "./kinds.ts";
import type { Tx } from "./tx.ts";

/** What an operation works with: its transaction, and where ids and times come from. */
export interface Ctx {
  readonly tx: Tx;
  readonly random: Random;
  readonly clock: Clock;
  /** Largest tunnel key to hand out. */
  readonly maxTunnelKey: number;
}

type Identified = { readonly id: string };

/** The content of nodes that only say that something is so. */
export const EMPTY = "";

export const pathOf = <T extends Identified>(kind: Kind<T>, id: string): string => `${kind.directory}/${id}`;

export function notFound(kind: string, id: string): MidotraceError {
  return new MidotraceError("NOT_FOUND", `no ${kind} ${id}`);
}

export function conflict(message: string): MidotraceError {
  return new MidotraceError("CONFLICT", message);
}

export function invalid(what: string, property: string, message: string): MidotraceError {
  return new MidotraceError("VALIDATION", `${what} is not valid: ${property}: ${message}`, [{ property, message }]);
}

/** A defect of the store's content: two nodes contradict each other. */
export function broken(message: string): MidotraceError {
  return new MidotraceError("INTERNAL", `the store contradicts itself: ${message}`);
}

/** Null when there is none (whatever the id looks like). */
export async function find<T extends Identified>(c: Ctx, kind: Kind<T>, id: string): Promise<T | null> {
  if (!isUuid(id)) return null;
  const data = await c.tx.get(pathOf(kind, id));
  return data === null ? null : decode(kind.read, data, pathOf(kind, id));
}

/** @throws MidotraceError NOT_FOUND naming kind and id. */
export async function need<T extends Identified>(c: Ctx, kind: Kind<T>, id: string): Promise<T> {
  const found = await find(c, kind, id);
  if (found === null) throw notFound(kind.name, id);
  return found;
}

/** The records with these ids in that order; those that are gone are left out. */
export async function findMany<T extends Identified>(c: Ctx, kind: Kind<T>, ids: readonly string[]): Promise<T[]> {
  const paths = ids.map((id) => pathOf(kind, id));
  const texts = await c.tx.getMany(paths);
  return texts.flatMap((data, i) => (data === null ? [] : [decode(kind.read, data, paths[i] as string)]));
}

export async function findAll<T extends Identified>(c: Ctx, kind: Kind<T>): Promise<T[]> {
  return findMany(c, kind, await c.tx.children(kind.directory));
}

/**
 * Creates the record and its directories.
 * @throws MidotraceError ALREADY_EXISTS; VALIDATION naming each wrong field.
 */
export async function insert<T extends Identified>(c: Ctx, kind: Kind<T>, record: T): Promise<void> {
  validate(kind, record);
  const path = pathOf(kind, record.id);
  if ((await c.tx.get(path)) !== null) throw new MidotraceError("ALREADY_EXISTS", `${kind.name} ${record.id} exists`);
  make(c, kind, record);
}

/**
 * As `insert`, with an id that was drawn for it: that nobody has it is left to the commit, and not asked before.
 * @throws MidotraceError VALIDATION naming each wrong field.
 */
export function insertNew<T extends Identified>(c: Ctx, kind: Kind<T>, record: T): void {
  validate(kind, record);
  make(c, kind, record);
}

function make<T extends Identified>(c: Ctx, kind: Kind<T>, record: T): void {
  const path = pathOf(kind, record.id);
  c.tx.create(path, encode(kind.read, record, path));
  for (const child of kind.children) c.tx.create(`${path}/${child}`, EMPTY);
}

/** @throws MidotraceError VALIDATION naming each wrong field. */
export function validate<T extends Identified>(kind: Kind<T>, record: T): void {
  const violations = new Violations();
  kind.validate(record, violations);
  violations.throwIfAny(kind.name);
}

/** Writes a record as somebody asked for it. @throws MidotraceError VALIDATION naming each wrong field. */
export function change<T extends Identified>(c: Ctx, kind: Kind<T>, record: T): void {
  validate(kind, record);
  put(c, kind, record);
}

/** Writes a record that was read in this transaction. */
export function put<T extends Identified>(c: Ctx, kind: Kind<T>, record: T): void {
  const path = pathOf(kind, record.id);
  c.tx.set(path, encode(kind.read, record, path));
}

/** The record and everything below it. */
export async function erase<T extends Identified>(c: Ctx, kind: Kind<T>, id: string): Promise<void> {
  await c.tx.deleteTree(pathOf(kind, id));
}

/** Leaves the fields out that are undefined: what a patch does not say stays. */
export function patched<T extends object>(record: T, patch: { readonly [K in keyof T]?: T[K] | undefined }): T {
  const said = Object.entries(patch).filter(([, value]) => value !== undefined);
  return { ...record, ...(Object.fromEntries(said) as Partial<T>) };
}
