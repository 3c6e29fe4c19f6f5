/** Chains, the order of their rules, and who refers to them: the part that traces and chains are both built on. */
import type { ChainId, RuleId } from "#core/base";
import type { BridgeRecord, ChainRecord, DeviceType, PortRecord, RouterRecord, RuleRecord } from "#core/topology";
import { decode, encode } from "./codec.ts";
import { BRIDGE, CHAIN, type Kind, PORT, readRuleList, ROUTER, RULE } from "./kinds.ts";
import { broken, type Ctx, EMPTY, erase, find, findMany, insert, insertNew, need, pathOf, put } from "./objects.ts";
import { chainRefPath, chainRefsPath, type ChainRefType, chainRulesPath, parseChainRef } from "./paths.ts";

/** Anything that filters: what a trace request can be on. */
export type Device = BridgeRecord | RouterRecord | PortRecord;

export const DEVICE_KIND: Readonly<Record<DeviceType, Kind<BridgeRecord> | Kind<RouterRecord> | Kind<PortRecord>>> = {
  BRIDGE,
  ROUTER,
  PORT,
};

const REF_TYPE: Readonly<Record<DeviceType, ChainRefType>> = { BRIDGE: "bridge", ROUTER: "router", PORT: "port" };
const DEVICE_TYPE: Readonly<Partial<Record<ChainRefType, DeviceType>>> = {
  bridge: "BRIDGE",
  router: "ROUTER",
  port: "PORT",
};

/** Null when there is no such device of that type. */
export async function findDevice(c: Ctx, type: DeviceType, id: string): Promise<Device | null> {
  return find(c, DEVICE_KIND[type] as Kind<Device>, id);
}

export function putDevice(c: Ctx, type: DeviceType, record: Device): void {
  put(c, DEVICE_KIND[type] as Kind<Device>, record);
}

const chainsOf = (device: Device | null): Set<ChainId> =>
  new Set([device?.inboundFilterId, device?.outboundFilterId].filter((id) => id !== null && id !== undefined));

/**
 * Brings the references from chains to a device from what `before` filters by to what `after` does.
 * @throws MidotraceError NOT_FOUND when `after` names a chain that does not exist.
 */
export async function updateRefs(c: Ctx, type: DeviceType, before: Device | null, after: Device | null): Promise<void> {
  const id = (after ?? before)?.id as string;
  const [old, now] = [chainsOf(before), chainsOf(after)];
  for (const chain of now) if (!old.has(chain)) await addRef(c, chain, REF_TYPE[type], id);
  for (const chain of old) if (!now.has(chain)) await c.tx.delete(chainRefPath(chain, { type: REF_TYPE[type], id }));
}

/** @throws MidotraceError NOT_FOUND when the chain does not exist. */
export async function addRef(c: Ctx, chain: ChainId, type: ChainRefType, id: string): Promise<void> {
  await need(c, CHAIN, chain);
  c.tx.create(chainRefPath(chain, { type, id }), EMPTY);
}

/** The ids of a chain's rules in order; empty when there is no such chain. */
export async function ruleIds(c: Ctx, chain: ChainId): Promise<RuleId[]> {
  const path = chainRulesPath(chain);
  const data = await c.tx.get(path);
  return data === null ? [] : decode(readRuleList, data, path).ruleList;
}

export async function rulesOf(c: Ctx, chain: ChainId): Promise<RuleRecord[]> {
  const ids = await ruleIds(c, chain);
  const rules = await findMany(c, RULE, ids);
  if (rules.length !== ids.length) throw broken(`chain ${chain} lists a rule that does not exist`);
  return rules;
}

export function putRuleList(c: Ctx, chain: ChainId, ids: readonly RuleId[]): void {
  const path = chainRulesPath(chain);
  c.tx.set(path, encode(readRuleList, { ruleList: [...ids] }, path));
}

/** Puts new rules into their chain; the first one gets the 0-based `index`. */
export async function addRules(c: Ctx, chain: ChainId, rules: readonly RuleRecord[], index: number): Promise<void> {
  // What is looked at below, in one question.
  await c.tx.getMany([chainRulesPath(chain), ...rules.map((r) => pathOf(RULE, r.id))]);
  const ids = await ruleIds(c, chain);
  ids.splice(index, 0, ...rules.map((r) => r.id));
  for (const rule of rules) {
    await insert(c, RULE, rule);
    if (rule.type === "jump") await addRef(c, rule.jumpChainId, "rule", rule.id);
  }
  putRuleList(c, chain, ids);
}

/** Puts a rule at the head of its chain. Its id was drawn for it, or belonged to a rule that this transaction has erased. */
export async function addNewRule(c: Ctx, rule: RuleRecord): Promise<void> {
  const ids = await ruleIds(c, rule.chainId);
  insertNew(c, RULE, rule);
  putRuleList(c, rule.chainId, [rule.id, ...ids]);
}

/** Takes a rule away from its chain's list, its jump target's references and the rules. */
export async function eraseRule(c: Ctx, rule: RuleRecord): Promise<void> {
  const ids = await ruleIds(c, rule.chainId);
  putRuleList(
    c,
    rule.chainId,
    ids.filter((id) => id !== rule.id),
  );
  if (rule.type === "jump") await c.tx.delete(chainRefPath(rule.jumpChainId, { type: "rule", id: rule.id }));
  await erase(c, RULE, rule.id);
}

/** A new chain without rules. @throws MidotraceError ALREADY_EXISTS */
export async function addChain(c: Ctx, record: ChainRecord): Promise<void> {
  await insert(c, CHAIN, record);
  makeRuleList(c, record.id);
}

/** As `addChain`, with an id that was drawn for it. */
export function addNewChain(c: Ctx, record: ChainRecord): void {
  insertNew(c, CHAIN, record);
  makeRuleList(c, record.id);
}

function makeRuleList(c: Ctx, chain: ChainId): void {
  const path = chainRulesPath(chain);
  c.tx.create(path, encode(readRuleList, { ruleList: [] }, path));
}

/**
 * Deletes a chain with its rules and the jump rules to it, and clears the filters that name it. Trace requests are not
 * looked at: whoever calls has disabled those with a rule in it.
 */
export async function dropChain(c: Ctx, chain: ChainId): Promise<void> {
  for (const name of await c.tx.children(chainRefsPath(chain))) {
    const ref = parseChainRef(name);
    if (ref === null) continue;
    const type = DEVICE_TYPE[ref.type];
    if (type === undefined) {
      const rule = await find(c, RULE, ref.id);
      if (rule !== null) await eraseRule(c, rule);
      continue;
    }
    const device = await findDevice(c, type, ref.id);
    if (device === null) continue;
    putDevice(c, type, {
      ...device,
      inboundFilterId: device.inboundFilterId === chain ? null : device.inboundFilterId,
      outboundFilterId: device.outboundFilterId === chain ? null : device.outboundFilterId,
    });
  }
  for (const rule of await rulesOf(c, chain)) await eraseRule(c, rule);
  await erase(c, CHAIN, chain);
}
