import { type ChainId, type RouteId, type RouterId, type RuleId, type TenantId, Violations } from "#core/base";
import {
  type ChainRecord,
  L2_FLOW_ACTIONS,
  NAT_FLOW_ACTIONS,
  type RouteRecord,
  RULE_TYPES,
  type RuleRecord,
  validateChain,
  validateRoute,
  validateRule,
} from "#core/topology";
import * as z from "zod";
import { conditionBody, conditionFields, conditionFromBody, conditionToFields } from "./condition-dto.ts";
import { answerOf, bodyOf, read, ro, rw } from "./fields.ts";
import type { Links } from "./links.ts";

/** midonet-rest 6.7 */
export const chainFields = { id: rw.id, tenantId: rw.text(""), name: rw.text(""), uri: ro.uri, rules: ro.uri } as const;
export const chainBody = bodyOf(chainFields);
export const chainAnswer = answerOf(chainFields);
export type ChainDto = z.output<typeof chainAnswer>;

export function chainToDto(c: ChainRecord, links: Links): ChainDto {
  const { id, tenantId, name } = c;
  return { id, tenantId, name, uri: links.to("chains", id), rules: links.to("chains", id, "rules") };
}

/** @throws MidotraceError VALIDATION */
export function chainFromBody(body: z.output<typeof chainBody>, id: string): ChainRecord {
  const record: ChainRecord = { id: id as ChainId, tenantId: body.tenantId as TenantId, name: body.name };
  const violations = new Violations();
  validateChain(record, violations);
  violations.throwIfAny("chain");
  return record;
}

const natTarget = z.object({ addressFrom: z.string(), addressTo: z.string(), portFrom: z.int(), portTo: z.int() });
const natTargetBody = z.object({
  addressFrom: read.text(""),
  addressTo: read.text(""),
  portFrom: read.int(0),
  portTo: read.int(0),
});

const FLOW_ACTIONS = [...new Set([...NAT_FLOW_ACTIONS, ...L2_FLOW_ACTIONS])] as const;

/** midonet-rest 6.8: one shape for all types; what a type does not have is null. */
export const ruleFields = {
  id: rw.id,
  chainId: ro.uuid,
  type: rw.of(z.enum(RULE_TYPES), read.oneOf(RULE_TYPES, null)),
  position: rw.int(1),
  meterName: rw.text(null),
  jumpChainId: rw.uuidOrNull,
  jumpChainName: ro.textOrNull,
  flowAction: rw.of(z.nullable(z.enum(FLOW_ACTIONS)), read.oneOf(FLOW_ACTIONS, null)),
  natTargets: rw.of(z.nullable(z.array(natTarget)), z.array(natTargetBody).nullish()),
  popVlan: rw.of(z.nullable(z.boolean()), read.bool(false)),
  pushVlan: rw.of(z.nullable(z.int()), read.int(0)),
  targetPortId: rw.uuidOrNull,
  ingress: rw.of(z.nullable(z.boolean()), read.bool(false)),
  failOpen: rw.of(z.nullable(z.boolean()), read.bool(false)),
  requestId: ro.uuidOrNull,
  limit: ro.of(z.nullable(z.bigint().meta({ type: "integer", format: "int64" }))),
  action: ro.textOrNull,
  ...conditionFields,
  uri: ro.uri,
} as const;
export const ruleBody = bodyOf(ruleFields);
export const ruleAnswer = answerOf(ruleFields);
export type RuleDto = z.output<typeof ruleAnswer>;

const ACTIONS: Readonly<Partial<Record<RuleRecord["type"], string>>> = {
  accept: "ACCEPT",
  drop: "DROP",
  reject: "REJECT",
  return: "RETURN",
  jump: "JUMP",
};

/** @param jumpChainName of the target of a jump, where known. */
export function ruleToDto(r: RuleRecord, position: number, jumpChainName: string | null, links: Links): RuleDto {
  return {
    id: r.id,
    chainId: r.chainId,
    type: r.type,
    position,
    meterName: r.meterName,
    jumpChainId: r.type === "jump" ? r.jumpChainId : null,
    jumpChainName,
    flowAction: "flowAction" in r ? r.flowAction : null,
    natTargets: "natTargets" in r ? [...r.natTargets] : null,
    ...l2Fields(r),
    requestId: r.type === "trace" ? r.requestId : null,
    limit: r.type === "trace" ? r.limit : null,
    action: ACTIONS[r.type] ?? ("flowAction" in r ? r.flowAction.toUpperCase() : null),
    ...conditionToFields(r.condition),
    uri: links.to("rules", r.id),
  };
}

function l2Fields(r: RuleRecord) {
  if (r.type !== "l2_transform")
    return { popVlan: null, pushVlan: null, targetPortId: null, ingress: null, failOpen: null };
  const { popVlan, pushVlan, targetPortId, ingress, failOpen } = r;
  return { popVlan, pushVlan, targetPortId, ingress, failOpen };
}

export interface NewRule {
  readonly rule: RuleRecord;
  readonly position: number;
}

/** @throws MidotraceError VALIDATION; for a trace rule, too: those are made by enabling a trace request. */
export function ruleFromBody(body: z.output<typeof ruleBody>, chainId: string, id: string): NewRule {
  const violations = new Violations();
  if (body.type === "trace") violations.add("type", "trace rules are made by enabling a trace request");
  const rule = {
    id: id as RuleId,
    chainId: chainId as ChainId,
    type: body.type,
    meterName: body.meterName,
    condition: conditionFromBody(conditionBody.parse(body), "", violations),
    ...typeFields(body),
  } as RuleRecord;
  if (body.type !== "trace") validateRule(rule, violations);
  if (body.position < 1) violations.add("position", `must be 1 or greater, not ${body.position}`);
  violations.throwIfAny("rule");
  return { rule, position: body.position };
}

function typeFields(body: z.output<typeof ruleBody>): object {
  switch (body.type) {
    case "jump":
      return { jumpChainId: body.jumpChainId };
    case "snat":
    case "dnat":
      return { flowAction: body.flowAction, natTargets: body.natTargets };
    case "rev_snat":
    case "rev_dnat":
      return { flowAction: body.flowAction };
    case "l2_transform": {
      const { flowAction, popVlan, pushVlan, targetPortId, ingress, failOpen } = body;
      return { flowAction, popVlan, pushVlan, targetPortId, ingress, failOpen };
    }
    case "accept":
    case "drop":
    case "reject":
    case "return":
    case "trace":
    case null:
      return {};
  }
}

const ROUTE_TYPES = ["Normal", "BlackHole", "Reject", "Local"] as const;

/** midonet-rest 6.6 */
export const routeFields = {
  id: rw.id,
  routerId: ro.uuid,
  type: rw.oneOf(ROUTE_TYPES),
  srcNetworkAddr: rw.text(null),
  srcNetworkLength: rw.int(0),
  dstNetworkAddr: rw.text(null),
  dstNetworkLength: rw.int(0),
  nextHopPort: rw.uuidOrNull,
  nextHopGateway: rw.text(null),
  weight: rw.int(0),
  attributes: rw.text(null),
  learned: ro.bool,
  uri: ro.uri,
  router: ro.uri,
} as const;
export const routeBody = bodyOf(routeFields);
export const routeAnswer = answerOf(routeFields);
export type RouteDto = z.output<typeof routeAnswer>;

export function routeToDto(r: RouteRecord, links: Links): RouteDto {
  return {
    ...r,
    attributes: r.attributes ?? null,
    learned: false,
    uri: links.to("routes", r.id),
    router: links.to("routers", r.routerId),
  };
}

/** @throws MidotraceError VALIDATION */
export function routeFromBody(body: z.output<typeof routeBody>, routerId: string, id: string): RouteRecord {
  const record = { ...body, id: id as RouteId, routerId: routerId as RouterId } as RouteRecord;
  const violations = new Violations();
  validateRoute(record, violations);
  violations.throwIfAny("route");
  return record;
}
