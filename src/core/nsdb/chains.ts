/** Chains and the rules in them, inside a transaction. */
import type { ChainId, RuleId, TenantId } from "#core/base";
import type { ChainRecord, RuleRecord } from "#core/topology";
import { addChain, addRules, dropChain, eraseRule, ruleIds, rulesOf } from "./filters.ts";
import { CHAIN, PORT, RULE, TRACE } from "./kinds.ts";
import { type Ctx, find, findAll, invalid, need, notFound, patched, change } from "./objects.ts";
import { disarm, disarmChain } from "./trace-rules.ts";
import { traceTenant } from "./traces.ts";

export interface ChainPatch {
  readonly tenantId?: TenantId | undefined;
  readonly name?: string | undefined;
}

export interface ChainInput extends ChainPatch {
  readonly id?: ChainId | undefined;
}

/** @throws MidotraceError ALREADY_EXISTS; VALIDATION. */
export async function createChain(c: Ctx, input: ChainInput): Promise<ChainRecord> {
  const record: ChainRecord = {
    id: input.id ?? (c.random.uuid() as ChainId),
    tenantId: input.tenantId ?? ("" as TenantId),
    name: input.name ?? "",
  };
  await addChain(c, record);
  return record;
}

/** @throws MidotraceError NOT_FOUND */
export async function updateChain(c: Ctx, id: ChainId, patch: ChainPatch): Promise<ChainRecord> {
  const record = patched(await need(c, CHAIN, id), patch);
  change(c, CHAIN, record);
  return record;
}

/**
 * With its rules and the jump rules to it; filters that name it are cleared; trace requests with a rule in it are disabled.
 * @throws MidotraceError NOT_FOUND
 */
export async function deleteChain(c: Ctx, id: ChainId): Promise<void> {
  await need(c, CHAIN, id);
  await disarmChain(c, id);
  await dropChain(c, id);
}

export async function listChains(
  c: Ctx,
  filter: { readonly tenantId?: string | undefined } = {},
): Promise<ChainRecord[]> {
  const all = await findAll(c, CHAIN);
  return filter.tenantId === undefined ? all : all.filter((r) => r.tenantId === filter.tenantId);
}

type WithoutIds<T> = T extends unknown ? Omit<T, "id" | "chainId"> : never;
/** A rule as it is asked for; its chain is given beside it. */
export type RuleInput = WithoutIds<RuleRecord> & { readonly id?: RuleId | undefined };

/** A rule and where it stands, 1-based. */
export type PlacedRule = RuleRecord & { readonly position: number };

/**
 * Whose eyes see a chain; undefined: all. A chain may be shared by devices of several tenants: the trace rules of others are
 * not there for a tenant, and positions do not count them.
 */
export type Onlooker = string | undefined;

/** The chain's rules in order, without those that are not for the onlooker. */
async function visibleRules(c: Ctx, chain: ChainId, onlooker: Onlooker): Promise<RuleRecord[]> {
  const rules = await rulesOf(c, chain);
  if (onlooker === undefined) return rules;
  const seen = await Promise.all(rules.map((rule) => isFor(c, rule, onlooker)));
  return rules.filter((_, i) => seen[i]);
}

async function isFor(c: Ctx, rule: RuleRecord, tenant: string): Promise<boolean> {
  if (rule.type !== "trace") return true;
  const request = await find(c, TRACE, rule.requestId);
  return request !== null && (await traceTenant(c, request)) === tenant;
}

/**
 * Inserts before the rule that now stands at the 1-based position, as the onlooker counts; one past the end appends.
 * @throws MidotraceError NOT_FOUND for the chain, a jump's target or the port to redirect to; VALIDATION for the position, the id, and trace rules;
 *   ALREADY_EXISTS.
 */
export async function createRule(
  c: Ctx,
  chain: ChainId,
  input: RuleInput,
  position = 1,
  onlooker?: Onlooker,
): Promise<PlacedRule> {
  if (input.type === "trace") throw invalid("rule", "type", "trace rules are made by enabling a trace request");
  await need(c, CHAIN, chain);
  const ids = await ruleIds(c, chain);
  const counted = onlooker === undefined ? ids : (await visibleRules(c, chain, onlooker)).map((r) => r.id);
  const count = counted.length;
  if (!Number.isInteger(position) || position < 1 || position > count + 1)
    throw invalid("rule", "position", `must be 1..${count + 1}`);
  const before = counted[position - 1];
  const index = before === undefined ? ids.length : ids.indexOf(before);
  if (input.type === "l2_transform" && input.targetPortId !== null) await need(c, PORT, input.targetPortId);
  const record: RuleRecord = { ...input, id: input.id ?? (c.random.uuid() as RuleId), chainId: chain };
  await addRules(c, chain, [record], index);
  return { ...record, position };
}

/** Deleting a trace rule disables its request. @throws MidotraceError NOT_FOUND, also for what the onlooker does not see. */
export async function deleteRule(c: Ctx, id: RuleId, onlooker?: Onlooker): Promise<void> {
  const rule = await getRule(c, id, onlooker);
  if (rule.type === "trace") await disarm(c, await need(c, TRACE, rule.requestId));
  else await eraseRule(c, rule);
}

/** @throws MidotraceError NOT_FOUND, also for what the onlooker does not see. */
export async function getRule(c: Ctx, id: RuleId, onlooker?: Onlooker): Promise<PlacedRule> {
  const rule = await need(c, RULE, id);
  if (onlooker === undefined) return { ...rule, position: (await ruleIds(c, rule.chainId)).indexOf(id) + 1 };
  const position = (await visibleRules(c, rule.chainId, onlooker)).findIndex((r) => r.id === id) + 1;
  if (position === 0) throw notFound(RULE.name, id);
  return { ...rule, position };
}

/** Null when there is no such rule. */
export async function findRule(c: Ctx, id: RuleId): Promise<PlacedRule | null> {
  return (await find(c, RULE, id)) === null ? null : getRule(c, id);
}

/** In order. @throws MidotraceError NOT_FOUND */
export async function listRules(c: Ctx, chain: ChainId, onlooker?: Onlooker): Promise<PlacedRule[]> {
  await need(c, CHAIN, chain);
  return (await visibleRules(c, chain, onlooker)).map((rule, i) => ({ ...rule, position: i + 1 }));
}
