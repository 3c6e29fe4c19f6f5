import { MidotraceError, type TraceRequestId, Violations } from "#core/base";
import {
  type Condition,
  type DeviceType,
  effectiveFragmentPolicy,
  LIMIT_MAX,
  parseExpression,
  sameCondition,
  type TraceRequestRecord,
  validateTraceRequest,
} from "#core/topology";
import * as z from "zod";
import { conditionAnswer, conditionBody, conditionFromBody, conditionToFields } from "./condition-dto.ts";
import { answerOf, bodyOf, read, ro, rw } from "./fields.ts";
import type { Links } from "./links.ts";

const DEVICE_TYPES = ["BRIDGE", "PORT", "ROUTER"] as const;
const COLLECTION: Readonly<Record<DeviceType, string>> = { BRIDGE: "bridges", PORT: "ports", ROUTER: "routers" };

/** A condition object, or a filter expression. Wrong fields keep their path below `condition`. */
const conditionInput = z
  .unknown()
  .meta({ anyOf: [{ type: "string", description: "a filter expression" }, { type: "object" }] })
  .optional()
  .transform((value, ctx): string | z.output<typeof conditionBody> | undefined => {
    if (value === undefined || value === null) return undefined;
    if (typeof value === "string") return value;
    const parsed = conditionBody.safeParse(value);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues)
      ctx.addIssue({ code: "custom", message: issue.message, path: [...issue.path] });
    return z.NEVER;
  });

/** Trace requests (midonet-rest 6.1), and beside them `device`, `flows` and `events`. */
export const traceFields = {
  id: rw.of(z.string(), read.uuid(undefined)),
  name: rw.of(z.string(), read.text(undefined)),
  deviceType: rw.of(z.enum(DEVICE_TYPES), read.oneOf(DEVICE_TYPES, undefined)),
  deviceId: rw.of(z.string(), read.uuid(undefined)),
  /** URI of the device: the blueprint's way to name it. */
  device: rw.of(z.string(), read.text(undefined)),
  condition: rw.of(conditionAnswer, conditionInput),
  creationTimestampMs: rw.of(z.int(), read.int(undefined)),
  limit: rw.of(z.bigint().meta({ type: "integer", format: "int64" }), read.int64(undefined)),
  enabled: rw.of(z.boolean(), read.bool(undefined)),
  uri: ro.uri,
  flows: ro.uri,
  events: ro.uri,
} as const;

export const traceBody = bodyOf(traceFields);
export const traceAnswer = answerOf(traceFields);
export type TraceBody = z.output<typeof traceBody>;
export type TraceDto = z.output<typeof traceAnswer>;

export function traceToDto(t: TraceRequestRecord, links: Links): TraceDto {
  return {
    id: t.id,
    name: t.name,
    deviceType: t.deviceType,
    deviceId: t.deviceId,
    device: links.to(COLLECTION[t.deviceType], t.deviceId),
    condition: { ...conditionToFields(t.condition), uri: null },
    creationTimestampMs: t.creationTimestampMs,
    limit: t.limit,
    enabled: t.enabledRule !== null,
    uri: links.to("traces", t.id),
    flows: links.to("traces", t.id, "flows"),
    events: links.to("traces", t.id, "events"),
  };
}

export interface NewTrace {
  readonly record: TraceRequestRecord;
  readonly enabled: boolean;
}

/**
 * The request that a POST asks for, before the store has seen it.
 * @param fresh the id and time of a request that does not bring its own.
 * @throws MidotraceError VALIDATION naming every wrong field; BAD_EXPRESSION for a condition text that does not parse.
 */
export function traceFromBody(body: TraceBody, fresh: { readonly id: string; readonly nowMs: number }): NewTrace {
  const violations = new Violations();
  const device = deviceOf(body, violations);
  const record = {
    id: (body.id ?? fresh.id) as TraceRequestId,
    // The blueprint's form (a device URI) has no name; MidoNet's form (a device id) requires one.
    name: body.name ?? (body.device !== undefined && body.deviceId === undefined ? "" : undefined),
    deviceType: device.deviceType,
    deviceId: device.deviceId,
    condition: conditionOf(body, violations) ?? {},
    creationTimestampMs: body.creationTimestampMs ?? fresh.nowMs,
    limit: body.limit ?? LIMIT_MAX,
    enabledRule: null,
    enabledChain: null,
  } as TraceRequestRecord;
  validateTraceRequest(record, violations);
  violations.throwIfAny("trace request");
  return { record, enabled: body.enabled ?? false };
}

/**
 * Compares a PUT with what is stored: only `enabled` may differ; what the body leaves out is not compared.
 * @returns the wanted `enabled`, undefined when the body does not say.
 * @throws MidotraceError CONFLICT naming every field that differs; VALIDATION, BAD_EXPRESSION as for POST.
 */
export function enabledFromPut(body: TraceBody, stored: TraceRequestRecord): boolean | undefined {
  const violations = new Violations();
  const device = deviceOf(body, violations);
  const condition = conditionOf(withRaisedPolicy(body, stored), violations);
  violations.throwIfAny("trace request");
  const differs = new Violations();
  const compare = (field: string, wanted: unknown, has: unknown): void => {
    if (wanted !== undefined && wanted !== has) differs.add(field, `cannot be changed: it is ${String(has)}`);
  };
  compare("id", body.id, stored.id);
  compare("name", body.name, stored.name);
  compare("deviceType", device.deviceType, stored.deviceType);
  compare(body.deviceId === undefined ? "device" : "deviceId", device.deviceId, stored.deviceId);
  compare("limit", body.limit, stored.limit);
  compare("creationTimestampMs", body.creationTimestampMs, stored.creationTimestampMs);
  if (condition !== undefined) compareConditions(condition, stored.condition, differs);
  if (differs.list.length > 0) {
    const names = differs.list.map((v) => v.property).join(", ");
    throw new MidotraceError("CONFLICT", `only enabled may be changed in a trace request, not ${names}`, differs.list);
  }
  return body.enabled;
}

/**
 * A client that adds L4 ports echoes the fragment policy that the condition had without them, and means the one it has
 * with them.
 */
function withRaisedPolicy(body: TraceBody, stored: TraceRequestRecord): TraceBody {
  const { condition } = body;
  if (typeof condition !== "object" || (condition.tpSrc === null && condition.tpDst === null)) return body;
  const echoed = condition.fragmentPolicy === "any" && effectiveFragmentPolicy(stored.condition) === "any";
  return echoed ? { ...body, condition: { ...condition, fragmentPolicy: null } } : body;
}

function compareConditions(wanted: Condition, stored: Condition, differs: Violations): void {
  if (sameCondition(wanted, stored)) return;
  const a = conditionToFields(wanted);
  const b = conditionToFields(stored);
  for (const name of Object.keys(a) as (keyof typeof a)[]) {
    if (JSON.stringify(a[name]) !== JSON.stringify(b[name]))
      differs.add(`condition.${name}`, `cannot be changed: it is ${JSON.stringify(b[name])}`);
  }
}

function conditionOf(body: TraceBody, violations: Violations): Condition | undefined {
  if (body.condition === undefined) return undefined;
  if (typeof body.condition === "string") return parseExpression(body.condition);
  return conditionFromBody(body.condition, "condition", violations);
}

export interface NamedDevice {
  readonly deviceType: DeviceType | undefined;
  readonly deviceId: string | undefined;
}

/** The device that a body names, as far as it does. */
export function deviceOfTrace(body: TraceBody): NamedDevice {
  return deviceOf(body, new Violations());
}

/** The device by `deviceId` or by the URI in `device`; both may be there when they say the same. */
function deviceOf(body: TraceBody, violations: Violations): NamedDevice {
  const { deviceType, deviceId } = body;
  if (body.device === undefined) return { deviceType, deviceId };
  const uri = /(?:^|\/)(bridges|ports|routers)\/([^/?#]+)\/?$/.exec(body.device);
  if (uri === null) {
    violations.add("device", "must be the URI of a bridge, router or port");
    return { deviceType, deviceId };
  }
  const type = DEVICE_TYPES.find((t) => COLLECTION[t] === uri[1]);
  const id = (uri[2] as string).toLowerCase();
  if (deviceType !== undefined && deviceType !== type)
    violations.add("device", `is the URI of a ${String(type).toLowerCase()}, but deviceType says ${deviceType}`);
  if (deviceId !== undefined && deviceId !== id) violations.add("device", `is not the URI of deviceId ${deviceId}`);
  return { deviceType: type, deviceId: id };
}
