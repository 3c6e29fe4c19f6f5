import {
  enabledFromPut,
  type FlowPageDto,
  MAX_PAGE,
  nextPage,
  parseLastEventId,
  traceFromBody,
  type TraceOperation,
  traceToDto,
} from "#core/api-contract";
import { type FlowTraceId, MidotraceError, type TraceRequestId, Violations } from "#core/base";
import { redactFlowTrace, type Viewer } from "#core/tracing";
import { created, type Deps, EMPTY, type Handlers, ignoringMissing, json } from "../call.ts";
import { EventStream } from "../event-stream.ts";
import type { Seal } from "../seal.ts";
import { simulatePacket } from "../simulate.ts";

/** Trace requests, the flows they traced, and simulations. */
export function traceHandlers(deps: Deps): Handlers<TraceOperation> {
  const { nsdb, traceStore, random, clock } = deps;
  return {
    listTraces: async ({ query, links }) => {
      const { limit, marker } = query;
      const filter = { tenantId: query.tenant_id, deviceId: query.device_id, enabled: query.enabled };
      if (limit === undefined && marker === undefined)
        return json((await nsdb.traces.list(filter)).map((t) => traceToDto(t, links)));
      // Only what the page shows is read.
      const { traces, more } = await nsdb.traces.page(filter, { limit: limit ?? MAX_PAGE, marker });
      return { ...json(traces.map((t) => traceToDto(t, links))), more };
    },
    createTrace: async ({ body, links, header }) => {
      const { record, enabled } = traceFromBody(body, { id: random.uuid(), nowMs: clock.nowMs() });
      const made = await nsdb.traces.create({ ...record, enabled });
      // "Returns UUID identifying the trace request" (blueprint) to whoever accepts an answer; MidoNet's clients say
      // nothing of that, and get the location only.
      return created(links.to("traces", made.id), header("accept") === undefined ? undefined : traceToDto(made, links));
    },
    getTrace: async ({ params, links }) => json(traceToDto(await nsdb.traces.get(params.id), links)),
    updateTrace: async ({ params, body }) => {
      const stored = await nsdb.traces.get(params.id);
      const enabled = enabledFromPut(body, stored);
      if (enabled === true) await nsdb.traces.enable(stored.id);
      if (enabled === false) await nsdb.traces.disable(stored.id);
      return EMPTY;
    },
    deleteTrace: async ({ params }) => {
      await ignoringMissing(nsdb.traces.delete(params.id as TraceRequestId));
      return EMPTY;
    },

    listFlows: async ({ params, query, links, viewer }) => {
      const { id } = await nsdb.traces.get(params.id);
      const { limit, verdict, host } = query;
      if (host !== undefined && !viewer.admin)
        throw new MidotraceError("FORBIDDEN", "host: hosts are the administrator's; a tenant cannot ask by them");
      const open = (name: "before" | "after"): string | undefined => cursorIn(deps.seal, viewer, name, query[name]);
      const [before, after] = [open("before"), open("after")];
      const page = await traceStore.flows(id, {
        limit,
        ...(before === undefined ? {} : { before }),
        ...(after === undefined ? {} : { after }),
        ...(verdict === undefined ? {} : { verdict }),
        ...(host === undefined ? {} : { host }),
      });
      const last = page.flows.at(-1);
      const dto: FlowPageDto = {
        flows: page.flows.map(({ cursor, trace }) => ({
          ...redactFlowTrace(trace, viewer),
          cursor: cursorOut(deps.seal, viewer, cursor),
        })),
        more: page.more && last !== undefined,
        next:
          page.more && last !== undefined
            ? nextPage(id, query, cursorOut(deps.seal, viewer, last.cursor), links)
            : null,
      };
      return json(dto);
    },
    getFlow: async ({ params, viewer }) => {
      const { id } = await nsdb.traces.get(params.id);
      const trace = await traceStore.flow(params.flowTraceId as FlowTraceId);
      if (trace === null || !trace.traceRequestIds.includes(id))
        throw new MidotraceError("NOT_FOUND", `no flow trace ${params.flowTraceId} of trace request ${id}`);
      return json(redactFlowTrace(trace, viewer));
    },
    traceEvents: async ({ params, header, viewer }) => {
      const { id } = await nsdb.traces.get(params.id);
      const lastEventId = lastEventIdOf(deps.seal, viewer, header("last-event-id"));
      return {
        kind: "events",
        open: (sink) => {
          const { scheduler, streams, streamQueue: queue } = deps;
          const options = { traceStore, scheduler, traceId: id, viewer, queue, lastEventId, seal: deps.seal };
          const stream = new EventStream(sink, options, () => forget());
          const forget = streams.add(id, (reason) => stream.end(reason));
          void stream.open();
          return (reason) => stream.end(reason);
        },
      };
    },
    simulate: async ({ body, viewer }) => json(await simulatePacket(deps, body, viewer)),
  };
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

/** An id that this server did not give is one that is gone: the stream begins with a gap. */
function lastEventIdOf(seal: Seal, viewer: Viewer, text: string | undefined): number | null {
  if (viewer.admin || text === undefined || text.trim() === "") return parseLastEventId(text);
  return parseLastEventId(seal.open(text.trim()) ?? "0");
}
