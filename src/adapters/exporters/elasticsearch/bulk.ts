import { ecsDocument, ecsMappings, type ExportRecord } from "#core/exporting";
import type { Outcome } from "../courier/wire.ts";
import { jsonOf } from "../http-client.ts";

/*
 * The bulk API of Elasticsearch and OpenSearch: newline-delimited JSON, an action and its document for each record, a
 * newline behind the last. Answered with an item for each action, in order.
 * https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
 */

/** Data streams take nothing but `create`; the id makes a record that comes twice one. */
export function bulkBody(stream: string, records: readonly ExportRecord[]): string {
  return records
    .map((r) => `${JSON.stringify({ create: { _index: stream, _id: r.id } })}\n${JSON.stringify(ecsDocument(r))}\n`)
    .join("");
}

/** The template by which the data stream is made when the first document comes. */
export function indexTemplate(stream: string): Readonly<Record<string, unknown>> {
  return {
    index_patterns: [stream],
    data_stream: {},
    // Above the templates that Elasticsearch brings for logs-*-* (100).
    priority: 200,
    template: { settings: { index: { mapping: { total_fields: { limit: 1_000 } } } }, mappings: ecsMappings() },
    _meta: { description: "Midotrace: flow traces and their steps" },
  };
}

/** It is there already: it was sent before, and the answer did not come. */
const CONFLICT = 409;
const TOO_MANY = 429;

interface Item {
  readonly status: number;
  readonly why: string;
}

/** Reads the items of an answer; null when they do not fit to what was sent. */
export function bulkOutcome(body: string, count: number): Outcome | null {
  const items = (jsonOf(body) as { readonly items?: unknown } | null)?.items;
  if (!Array.isArray(items) || items.length !== count) return null;
  const read = items.map(itemOf);
  if (read.some((item) => item === null)) return null;
  const all = read as Item[];
  const places = (wanted: (status: number) => boolean): number[] =>
    all.flatMap((item, i) => (wanted(item.status) ? [i] : []));
  const later = (status: number): boolean => status === TOO_MANY || status >= 500;
  const never = (status: number): boolean => status >= 300 && status !== CONFLICT && !later(status);
  const refused = places(never);
  const retry = places(later);
  return { kind: "taken", retry, refused, why: all[refused[0] ?? retry[0] ?? -1]?.why ?? "" };
}

function itemOf(value: unknown): Item | null {
  const item = (value as { readonly create?: { readonly status?: unknown; readonly error?: unknown } } | null)?.create;
  if (typeof item?.status !== "number") return null;
  const { type, reason } = (item.error ?? {}) as { readonly type?: unknown; readonly reason?: unknown };
  return { status: item.status, why: item.error === undefined ? "" : `${String(type)}: ${String(reason)}` };
}
