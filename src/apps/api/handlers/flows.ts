import {
  type FlowFilterQuery,
  type FlowPageDto,
  type KeptFlowDto,
  nextPage,
  type PathPageDto,
  type TraceSummaryDto,
} from "#core/api-contract";
import { type FlowTraceId, MidotraceError, Violations } from "#core/base";
import type { Identity } from "#core/identity";
import { type FlowFilter, type FlowTrace, redactFlowTrace, type Viewer } from "#core/tracing";
import { type Deps, EMPTY, type Handlers, json } from "../call.ts";
import type { Seal } from "../seal.ts";

type FlowOperation = "listFlows" | "getFlow" | "pinFlow" | "unpinFlow" | "listPaths" | "traceSummaries";

/** The flows that trace requests traced, and the paths that these took. */
export function flowHandlers({ nsdb, traceStore, seal }: Deps): Handlers<FlowOperation> {
  const flowOf = async (requestId: string, flowTraceId: string): Promise<FlowTrace> => {
    const { id } = await nsdb.traces.get(requestId);
    const trace = await traceStore.flow(flowTraceId as FlowTraceId);
    if (trace?.traceRequestIds.includes(id) === true) return trace;
    const expired = trace === null && (await traceStore.about(flowTraceId as FlowTraceId)).state === "expired";
    throw new MidotraceError(
      "NOT_FOUND",
      expired
        ? `flow trace ${flowTraceId} is expired: it was removed to make room for newer ones, or for its age`
        : `no flow trace ${flowTraceId} of trace request ${id}`,
    );
  };
  /** Those that the viewer may know of. */
  const requestsOf = async (viewer: Identity): Promise<ReadonlySet<string>> => {
    const traces = await nsdb.traces.list(viewer.admin ? {} : { tenantId: viewer.tenantId });
    return new Set(traces.map((t) => t.id));
  };
  return {
    listFlows: async ({ params, query, links, viewer }) => {
      const { id } = await nsdb.traces.get(params.id);
      const { limit, before: _before, after: _after, ...filter } = query;
      const open = (name: "before" | "after"): string | undefined => cursorIn(seal, viewer, name, query[name]);
      const [before, after] = [open("before"), open("after")];
      const page = await traceStore.flows(id, {
        limit,
        ...(before === undefined ? {} : { before }),
        ...(after === undefined ? {} : { after }),
        ...filterOf(filter, viewer),
        viewer,
      });
      const last = page.flows.at(-1);
      const dto: FlowPageDto = {
        flows: page.flows.map(({ cursor, trace, pinned }) => ({
          ...redactFlowTrace(trace, viewer),
          pinned,
          cursor: cursorOut(seal, viewer, cursor),
        })),
        more: page.more && last !== undefined,
        next: page.more && last !== undefined ? nextPage(id, query, cursorOut(seal, viewer, last.cursor), links) : null,
      };
      return json(dto);
    },
    getFlow: async ({ params, viewer }) => {
      const trace = await flowOf(params.id, params.flowTraceId);
      const { pinned, counterparts } = await traceStore.about(trace.flowTraceId);
      const visible = counterparts.length === 0 ? null : await requestsOf(viewer);
      const shown = counterparts.filter((c) => c.requestIds.some((id) => visible?.has(id) === true));
      const dto: KeptFlowDto = {
        ...redactFlowTrace(trace, viewer),
        pinned,
        counterparts: shown.map((c) => c.flowTraceId),
      };
      return json(dto);
    },
    pinFlow: async ({ params }) => {
      const { flowTraceId } = await flowOf(params.id, params.flowTraceId);
      await traceStore.pin(flowTraceId, true);
      return EMPTY;
    },
    unpinFlow: async ({ params }) => {
      const { flowTraceId } = await flowOf(params.id, params.flowTraceId);
      await traceStore.pin(flowTraceId, false);
      return EMPTY;
    },
    listPaths: async ({ params, query, viewer }) => {
      const { id } = await nsdb.traces.get(params.id);
      const { limit, ...filter } = query;
      const dto: PathPageDto = await traceStore.paths(id, { limit, ...filterOf(filter, viewer), viewer });
      return json(dto);
    },
    traceSummaries: async ({ query, viewer }) => {
      const traces = await nsdb.traces.list({ tenantId: query.tenant_id });
      const summaries = await traceStore.summaries(
        traces.map((t) => t.id),
        viewer,
      );
      return json(summaries.map(({ requestId, ...rest }): TraceSummaryDto => ({ id: requestId, ...rest })));
    },
  };
}

/** @throws MidotraceError VALIDATION when a time is none; FORBIDDEN for a tenant who asks by host. */
function filterOf(query: FlowFilterQuery, viewer: Viewer): FlowFilter {
  if (query.host !== undefined && !viewer.admin)
    throw new MidotraceError("FORBIDDEN", "host: hosts are the administrator's; a tenant cannot ask by them");
  const { since, until, ...rest } = query;
  const said = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return {
    ...said,
    ...(since === undefined ? {} : { sinceMs: timeOf("since", since) }),
    ...(until === undefined ? {} : { untilMs: timeOf("until", until) }),
  };
}

function timeOf(property: string, text: string): number {
  const ms = /^\d{1,16}$/.test(text) ? Number(text) : /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isSafeInteger(ms)) return ms;
  const message = "must be a number of ms since 1970, or a time such as 2026-01-31T12:00:00Z";
  throw new MidotraceError("VALIDATION", `${property}: ${message}`, [{ property, message }]);
}

/** Tenants get cursors sealed: they count everybody's flows. */
const cursorOut = (seal: Seal, viewer: Viewer, cursor: string): string => (viewer.admin ? cursor : seal.seal(cursor));

/** @throws MidotraceError VALIDATION */
function cursorIn(seal: Seal, viewer: Viewer, name: string, cursor: string | undefined): string | undefined {
  if (cursor === undefined || viewer.admin) return cursor;
  const opened = seal.open(cursor);
  if (opened !== null) return opened;
  const violations = new Violations();
  violations.add(name, "must be the cursor of an entry");
  throw new MidotraceError("VALIDATION", `${name}: must be the cursor of an entry`, violations.list);
}
