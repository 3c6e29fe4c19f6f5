/**
 * Trace rules: where the rule of an enabled request stands, and the chains that are made for it. What always holds:
 *
 *  - each enabled request has exactly one rule, and it stands in the chain that is its device's infilter;
 *  - a chain with the `auto` node was made by enabling and holds at least one trace rule; nothing else is ever deleted here.
 *
 * When the last trace rule leaves an auto chain, the chain goes too; unless somebody put rules of their own into it: then
 * it is theirs from there on, and the `auto` node goes instead.
 */
import type { ChainId, RuleId, TenantId } from "#core/base";
import { type DeviceType, type RuleRecord, type TraceRequestRecord, traceChainName } from "#core/topology";
import { decode, encode, object, text } from "./codec.ts";
import {
  addNewChain,
  addNewRule,
  type Device,
  dropChain,
  eraseRule,
  findDevice,
  putDevice,
  putRuleList,
  ruleIds,
  rulesOf,
  updateRefs,
} from "./filters.ts";
import { BRIDGE, ROUTER, RULE, TRACE, type TraceRule } from "./kinds.ts";
import { broken, type Ctx, find, findMany, pathOf, put } from "./objects.ts";
import { chainAutoPath } from "./paths.ts";

/** What stands at the `auto` node of a chain. */
export const readAuto = object<{ readonly requestId: string }>({ requestId: text() });

/** Who owns the device; a port belongs to the owner of its bridge or router. */
export async function tenantOf(c: Ctx, device: Device): Promise<TenantId> {
  if ("tenantId" in device) return device.tenantId;
  const owner =
    device.type === "Bridge" ? await find(c, BRIDGE, device.deviceId) : await find(c, ROUTER, device.deviceId);
  if (owner === null) throw broken(`port ${device.id} is on ${device.deviceId}, which does not exist`);
  return owner.tenantId;
}

const isAuto = async (c: Ctx, chain: ChainId): Promise<boolean> => (await c.tx.get(chainAutoPath(chain))) !== null;

/** A new auto chain for the device. The caller puts at least one trace rule into it. */
export async function makeAutoChain(c: Ctx, device: Device, requestId: TraceRequestRecord["id"]): Promise<ChainId> {
  const id = c.random.uuid() as ChainId;
  addNewChain(c, { id, tenantId: await tenantOf(c, device), name: traceChainName(requestId) });
  const path = chainAutoPath(id);
  c.tx.create(path, encode(readAuto, { requestId }, path));
  return id;
}

/** To be called when a trace rule has left the chain, with its list of rules written. */
async function tidy(c: Ctx, chain: ChainId): Promise<void> {
  if (!(await isAuto(c, chain))) return;
  const ids = await ruleIds(c, chain);
  if (ids.length === 0) await dropChain(c, chain);
  else if (!(await someTraceRule(c, ids))) await c.tx.delete(chainAutoPath(chain));
}

/**
 * Whether there is a trace rule among those of a chain whose list this transaction writes: so they need not be asserted, as
 * they stand in it for as long as they live, and none becomes another. New trace rules are put first, so mostly one look does.
 */
async function someTraceRule(c: Ctx, [first, ...others]: readonly RuleId[]): Promise<boolean> {
  for (const ids of [first === undefined ? [] : [first], others]) {
    const paths = ids.map((id) => pathOf(RULE, id));
    const texts = await c.tx.peekMany(paths);
    const isTrace = (text: string | null, i: number): boolean =>
      text !== null && decode(RULE.read, text, paths[i] ?? "").type === "trace";
    if (texts.some(isTrace)) return true;
  }
  return false;
}

/**
 * Arms a request on its device with the rule id `ruleId`. The request is written with the flag set.
 * @returns the request as written.
 */
export async function arm(
  c: Ctx,
  request: TraceRequestRecord,
  device: Device,
  ruleId: RuleId,
): Promise<TraceRequestRecord> {
  const type = request.deviceType;
  let chain = device.inboundFilterId;
  if (chain === null) {
    chain = await makeAutoChain(c, device, request.id);
    const filtered = { ...device, inboundFilterId: chain };
    await updateRefs(c, type, device, filtered);
    putDevice(c, type, filtered);
  }
  const rule: TraceRule = {
    type: "trace",
    id: ruleId,
    chainId: chain,
    condition: request.condition,
    meterName: null,
    requestId: request.id,
    deviceId: request.deviceId,
    limit: request.limit,
  };
  await addNewRule(c, rule);
  const enabled = { ...request, enabledRule: ruleId, enabledChain: chain };
  put(c, TRACE, enabled);
  return enabled;
}

/** Undoes `arm`. @returns the request as written; itself when it was disabled. */
export async function disarm(c: Ctx, request: TraceRequestRecord): Promise<TraceRequestRecord> {
  if (request.enabledRule === null || request.enabledChain === null) return request;
  const rule = await find(c, RULE, request.enabledRule);
  if (rule === null)
    throw broken(`trace request ${request.id} names rule ${request.enabledRule}, which does not exist`);
  await eraseRule(c, rule);
  const disabled = { ...request, enabledRule: null, enabledChain: null };
  put(c, TRACE, disabled);
  await tidy(c, request.enabledChain);
  return disabled;
}

/** Disables each request that has a rule in a chain that is about to be deleted. */
export async function disarmChain(c: Ctx, chain: ChainId): Promise<void> {
  const rules = (await rulesOf(c, chain)).filter(isTraceRule);
  const requests = await findMany(
    c,
    TRACE,
    rules.map((r) => r.requestId),
  );
  for (const request of requests) put(c, TRACE, { ...request, enabledRule: null, enabledChain: null });
}

const isTraceRule = (rule: RuleRecord): rule is TraceRule => rule.type === "trace";

/**
 * Gives a device (as read in this transaction) another infilter and takes the rules of its enabled requests along, with
 * their ids and in their order. Asked for none, the device stays on an auto chain that holds nothing but its own trace rules, or
 * gets a new one. The device itself is not written.
 * @returns the infilter that the device is to have, and what to do when it has it (deleting a chain left without rules).
 * @throws MidotraceError NOT_FOUND when the chain does not exist.
 */
export async function moveTraceRules(
  c: Ctx,
  device: Device,
  wanted: ChainId | null,
): Promise<{ readonly infilter: ChainId | null; readonly afterwards: () => Promise<void> }> {
  const from = device.inboundFilterId;
  const nothing = { infilter: wanted, afterwards: async () => {} };
  if (from === null || from === wanted) return nothing;
  const rules = await rulesOf(c, from);
  const own = rules.filter(isTraceRule).filter((r) => r.deviceId === device.id);
  const first = own[0];
  if (first === undefined) return nothing;
  if (wanted === null && own.length === rules.length && (await isAuto(c, from)))
    return { infilter: from, afterwards: async () => {} };
  const to = wanted ?? (await makeAutoChain(c, device, first.requestId));
  const moved = new Set<string>(own.map((r) => r.id));
  putRuleList(
    c,
    from,
    rules.map((r) => r.id).filter((id) => !moved.has(id)),
  );
  return {
    infilter: to,
    afterwards: async () => {
      putRuleList(c, to, [...own.map((r) => r.id), ...(await ruleIds(c, to))]);
      for (const rule of own) put(c, RULE, { ...rule, chainId: to });
      const requests = await findMany(
        c,
        TRACE,
        own.map((r) => r.requestId),
      );
      for (const request of requests) put(c, TRACE, { ...request, enabledChain: to });
      await tidy(c, from);
    },
  };
}

/**
 * Writes a device with what is asked of it: references of chains, and trace rules when the infilter changes.
 * @param before as read in this transaction. @returns the record as written.
 * @throws MidotraceError NOT_FOUND when a chain does not exist.
 */
export async function rewriteDevice(c: Ctx, type: DeviceType, before: Device, asked: Device): Promise<Device> {
  const { infilter, afterwards } = await moveTraceRules(c, before, asked.inboundFilterId);
  const after = { ...asked, inboundFilterId: infilter };
  await updateRefs(c, type, before, after);
  putDevice(c, type, after);
  await afterwards();
  return (await findDevice(c, type, before.id)) ?? after;
}
