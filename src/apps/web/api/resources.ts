import type { AgentDto, TraceDto } from "#core/api-contract";
import type { Verdict } from "#core/tracing";
import type { PathDevice, ShownFlow } from "#apps/web/model";
import { ApiError, ask, isNotOffered, send, token } from "./client.ts";

export type Trace = Omit<TraceDto, "limit"> & { readonly limit: number | bigint };
export type DeviceType = Trace["deviceType"];

export interface Identity {
  readonly auth: "none" | "static" | "keystone";
  readonly tenantId: string;
  readonly tenantName: string;
  readonly userId: string;
  readonly roles: readonly ("admin" | "tenant_admin" | "tenant_user")[];
}

export const isAdmin = (who: Identity): boolean => who.roles.includes("admin");
export const mayChange = (who: Identity): boolean => isAdmin(who) || who.roles.includes("tenant_admin");

const EVERYBODY: Identity = { auth: "none", tenantId: "", tenantName: "", userId: "", roles: ["admin"] };

/** Null: not signed in. A server without sign-in takes everybody for its administrator. */
export async function whoami(): Promise<Identity | null> {
  try {
    return await ask<Identity>("/whoami");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) return null;
    if (error.status === 404) return EVERYBODY;
    throw error;
  }
}

/** @param project empty: the server's default. @throws ApiError 401 when the name or password is wrong. */
export async function login(user: string, password: string, project: string): Promise<void> {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  const basic = btoa(String.fromCharCode(...bytes));
  const answer = await ask<{ readonly key: string }>("/login", {
    method: "POST",
    headers: { authorization: `Basic ${basic}`, ...(project === "" ? {} : { "x-auth-project": project }) },
  });
  token.set(answer.key);
}

export const listTraces = (signal: AbortSignal): Promise<Trace[]> => ask("/traces", { exact: true, signal });
export const getTrace = (id: string, signal: AbortSignal): Promise<Trace> =>
  ask(`/traces/${encodeURIComponent(id)}`, { exact: true, signal });
export const enableTrace = (id: string, enabled: boolean): Promise<void> =>
  ask(`/traces/${encodeURIComponent(id)}`, { method: "PUT", body: { enabled } });
export const deleteTrace = (id: string): Promise<void> =>
  ask(`/traces/${encodeURIComponent(id)}`, { method: "DELETE" });

export interface NewTrace {
  readonly name: string;
  readonly deviceType: DeviceType;
  readonly deviceId: string;
  readonly condition: string;
  readonly limit?: number;
  readonly enabled: boolean;
}
export async function createTrace(wanted: NewTrace): Promise<string> {
  const response = await send("/traces", { method: "POST", body: wanted });
  return response.headers.get("location")?.split("/").at(-1) ?? "";
}

export interface TraceSummary {
  readonly id: string;
  readonly flows: number;
  readonly lastFlowAtMs: number | null;
  readonly verdicts: Readonly<Partial<Record<Verdict, number>>>;
}
/** Null: the server does not count for this viewer. */
export const traceSummaries = (signal: AbortSignal): Promise<TraceSummary[] | null> =>
  orNull(ask("/trace_summaries", { signal }));

export interface FlowPage {
  readonly flows: readonly (ShownFlow & { readonly cursor: string })[];
  readonly more: boolean;
}
export const listFlows = (
  traceId: string,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<FlowPage> => ask(`/traces/${traceId}/flows?${queryText(query)}`, { signal });

export const getFlow = (traceId: string, flowId: string, signal: AbortSignal): Promise<ShownFlow> =>
  ask(`/traces/${traceId}/flows/${flowId}`, { signal });

export interface PathHop {
  readonly hostId: string;
  readonly hostName: string;
  readonly role: "ingress" | "egress";
  readonly devices: readonly PathDevice[];
}
export interface FlowPathCount {
  readonly pathId: string;
  readonly count: number;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  readonly verdict: Verdict;
  readonly dropReason: string | null;
  readonly why: string;
  readonly hops: readonly PathHop[];
  readonly sample: string;
}
/** Null: not offered by this server. */
export const listPaths = (
  traceId: string,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ readonly paths: readonly FlowPathCount[]; readonly more: boolean } | null> =>
  orNull(ask(`/traces/${traceId}/paths?${queryText(query)}`, { signal }));

export const pinFlow = (traceId: string, flowId: string, pinned: boolean): Promise<void> =>
  ask(`/traces/${traceId}/flows/${flowId}/pin`, { method: pinned ? "PUT" : "DELETE" });

export type AgentReport = AgentDto;
/** Null: not offered to this viewer. */
export const listAgents = (signal: AbortSignal): Promise<AgentReport[] | null> => orNull(ask("/agents", { signal }));

/** Saves what a path answers as a file: with the token in its header, which a plain link could not send. */
export async function download(path: string, fileName: string): Promise<void> {
  const blob = await (await send(path, { headers: { accept: "*/*" } })).blob();
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Only what is said. */
export function said(fields: object): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
}

const queryText = (query: Readonly<Record<string, string>>): string => new URLSearchParams(query).toString();

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (isNotOffered(error)) return null;
    throw error;
  }
}
