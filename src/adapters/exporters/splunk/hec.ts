import { type ExportRecord, recordText } from "#core/exporting";
import type { Outcome } from "../courier/wire.ts";
import { type HttpReply, jsonOf, statusError } from "../http-client.ts";

/*
 * Splunk's HTTP Event Collector: JSON objects one behind the other; with indexer acknowledgement, each request on a channel
 * is answered with an id, and asked for until the indexers have its events.
 * https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector and AboutHECIDXAck
 */

/** Codes of answers with status 400 that speak of events; all others speak of the token, the channel or the index. */
const EVENT_CODES: ReadonlySet<unknown> = new Set([5, 6, 12, 13, 15]);
const [OK, BAD_REQUEST, TOO_LARGE] = [200, 400, 413];

/** `time` in seconds, `host` of the step; what is searched most is indexed as fields. */
export function hecEvent(record: ExportRecord, index: string | null): string {
  const { type, atMs, ...rest } = record;
  const host = record.type === "step" ? record.hostName : null;
  return JSON.stringify({
    time: Math.round(atMs) / 1_000,
    ...(host === null || host === "" ? {} : { host }),
    source: "midotrace",
    sourcetype: `midotrace:${type}`,
    ...(index === null ? {} : { index }),
    event: { text: recordText(record), ...rest },
    fields: fieldsOf(record),
  });
}

function fieldsOf(record: ExportRecord): Readonly<Record<string, unknown>> {
  if (record.type === "loss") return { lost: record.count };
  const about = record.type === "step" ? record : record.flow;
  const fields: Record<string, unknown> = { trace_request_ids: about.traceRequestIds };
  if (about.flowTraceId !== null) fields["flow_trace_id"] = about.flowTraceId;
  if (record.type === "step" && record.hostId !== null) fields["host_id"] = record.hostId;
  if (record.type === "step" && record.cookie !== null) fields["cookie"] = record.cookie;
  if (record.type === "flow") fields["verdict"] = record.flow.verdict;
  return fields;
}

export type Taken = { readonly ackId: number | null };

/**
 * Reads the answer to events. @throws Error when they are to be sent again later: the collector is busy, or its token,
 * channel or index is not as it should be.
 */
export function hecOutcome(reply: HttpReply, count: number): Outcome | Taken {
  const said = jsonOf(reply.body) as Readonly<Record<string, unknown>> | null;
  if (reply.status === OK && said?.["code"] === 0) {
    const ackId = said["ackId"];
    return { ackId: typeof ackId === "number" ? ackId : null };
  }
  if (reply.status === TOO_LARGE) return { kind: "too-large" };
  if (reply.status !== BAD_REQUEST || !EVENT_CODES.has(said?.["code"])) throw statusError(reply);
  const bad = said?.["invalid-event-number"];
  const why = String(said?.["text"]);
  if (typeof bad !== "number" || !(bad >= 0 && bad < count)) return { kind: "refused", why };
  // What stands before the bad one may have been taken: it comes twice rather than never.
  const others = Array.from({ length: count }, (_, i) => i).filter((i) => i !== bad);
  return { kind: "taken", retry: others, refused: [bad], why };
}

/** Whether the indexers have what was sent under the id; null: the answer says nothing. */
export function ackOf(reply: HttpReply, ackId: number): boolean | null {
  const acks = (jsonOf(reply.body) as { readonly acks?: Readonly<Record<string, unknown>> } | null)?.acks;
  const said = acks?.[String(ackId)];
  return reply.status === OK && typeof said === "boolean" ? said : null;
}
