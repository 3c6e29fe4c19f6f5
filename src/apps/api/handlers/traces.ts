import {
  enabledFromPut,
  type FlowPageDto,
  nextPage,
  parseLastEventId,
  traceFromBody,
  type TraceOperation,
  traceToDto,
} from "#core/api-contract";
import { type FlowTraceId, MidotraceError, type TraceRequestId } from "#core/base";
import { redactFlowTrace } from "#core/tracing";
import { created, type Deps, EMPTY, type Handlers, ignoringMissing, json } from "../call.ts";
import { EventStream } from "../event-stream.ts";
import { simulatePacket } from "../simulate.ts";

/** Trace requests, the flows they traced, and simulations. */
export function traceHandlers(deps: Deps): Handlers<TraceOperation> {
  const { nsdb, traceStore, random, clock } = deps;
  return {
    listTraces: async ({ query, links }) => {
      const traces = await nsdb.traces.list({ tenantId: query.tenant_id, deviceId: query.device_id });
      const wanted = traces.filter((t) => query.enabled === undefined || query.enabled === (t.enabledRule !== null));
      return json(wanted.map((t) => traceToDto(t, links)));
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
      const { limit, before, after, verdict, host } = query;
      const page = await traceStore.flows(id, {
        limit,
        ...(before === undefined ? {} : { before }),
        ...(after === undefined ? {} : { after }),
        ...(verdict === undefined ? {} : { verdict }),
        ...(host === undefined ? {} : { host }),
      });
      const last = page.flows.at(-1);
      const dto: FlowPageDto = {
        flows: page.flows.map(({ cursor, trace }) => ({ ...redactFlowTrace(trace, viewer), cursor })),
        more: page.more && last !== undefined,
        next: page.more && last !== undefined ? nextPage(id, query, last.cursor, links) : null,
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
      const lastEventId = parseLastEventId(header("last-event-id"));
      return {
        kind: "events",
        open: (sink) => {
          const { scheduler, streams, streamQueue: queue } = deps;
          const options = { traceStore, scheduler, traceId: id, viewer, queue, lastEventId };
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
