import {
  enabledFromPut,
  MAX_PAGE,
  parseLastEventId,
  traceFromBody,
  type TraceOperation,
  traceToDto,
} from "#core/api-contract";
import { MidotraceError, type TraceRequestId } from "#core/base";
import { NO_QUOTA, type TraceQuota } from "#core/nsdb";
import type { Viewer } from "#core/tracing";
import { created, type Deps, EMPTY, type Handlers, ignoringMissing, json } from "../call.ts";
import { EventStream } from "../event-stream.ts";
import type { Seal } from "../seal.ts";
import { simulatePacket } from "../simulate.ts";
import { flowHandlers } from "./flows.ts";

/** Trace requests, the flows they traced, and simulations. */
export function traceHandlers(deps: Deps): Handlers<TraceOperation> {
  const { nsdb, traceStore, random, clock } = deps;
  /** An administrator makes and enables as many as need be, whosever device it is. */
  const quotaOf = ({ admin }: Viewer): TraceQuota => (admin ? NO_QUOTA : deps.tenantLimits);
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
    createTrace: async ({ body, links, header, viewer }) => {
      const { record, enabled } = traceFromBody(body, { id: random.uuid(), nowMs: clock.nowMs() });
      const made = await nsdb.traces.create({ ...record, enabled }, quotaOf(viewer));
      // "Returns UUID identifying the trace request" (blueprint) to whoever accepts an answer; MidoNet's clients say
      // nothing of that, and get the location only.
      return created(links.to("traces", made.id), header("accept") === undefined ? undefined : traceToDto(made, links));
    },
    getTrace: async ({ params, links }) => json(traceToDto(await nsdb.traces.get(params.id), links)),
    updateTrace: async ({ params, body, viewer }) => {
      const id = params.id as TraceRequestId;
      await nsdb.traces.switch(id, (stored) => enabledFromPut(body, stored), quotaOf(viewer));
      return EMPTY;
    },
    deleteTrace: async ({ params }) => {
      await ignoringMissing(nsdb.traces.delete(params.id as TraceRequestId));
      return EMPTY;
    },

    ...flowHandlers(deps),
    traceEvents: async ({ params, header, viewer }) => {
      const { id } = await nsdb.traces.get(params.id);
      const lastEventId = lastEventIdOf(deps.seal, viewer, header("last-event-id"));
      const { streams, tenantLimits } = deps;
      if (!viewer.admin) withinLimit("tenant-streams", tenantLimits.streams, streams.of(viewer.tenantId));
      return {
        kind: "events",
        open: (sink) => {
          const { scheduler, streamQueue: queue } = deps;
          const options = { traceStore, scheduler, traceId: id, viewer, queue, lastEventId, seal: deps.seal };
          const stream = new EventStream(sink, options, () => forget());
          const forget = streams.add(id, viewer.tenantId, (reason) => stream.end(reason));
          void stream.open();
          return (reason) => stream.end(reason);
        },
      };
    },
    simulate: async ({ body, viewer }) => json(await simulatePacket(deps, body, viewer)),
  };
}

/** @throws MidotraceError LIMIT_EXCEEDED when there are as many as the tenant may have. */
function withinLimit(option: string, limit: number | null, there: number): void {
  if (limit === null || there < limit) return;
  throw new MidotraceError(
    "LIMIT_EXCEEDED",
    `this tenant has ${there} event streams open, of at most ${limit} (--${option} of the server)`,
  );
}

/** An id that this server did not give is one that is gone: the stream begins with a gap. */
function lastEventIdOf(seal: Seal, viewer: Viewer, text: string | undefined): number | null {
  if (viewer.admin || text === undefined || text.trim() === "") return parseLastEventId(text);
  return parseLastEventId(seal.open(text.trim()) ?? "0");
}
