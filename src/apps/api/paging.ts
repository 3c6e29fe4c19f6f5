import type { Links, Paging, Route } from "#core/api-contract";
import { MidotraceError } from "#core/base";
import type { Result } from "./call.ts";

interface PageQuery {
  readonly limit?: number | undefined;
  readonly marker?: string | undefined;
}

/**
 * A list as it was asked for: whole, or at most `limit` objects after the one whose id is `marker`, with the address of the
 * next page in `Link`. A page of what has no order of its own is in the order of the ids, so that pages fit together
 * whatever is made and deleted meanwhile.
 * @param url of the request, with its query.
 * @throws MidotraceError VALIDATION for a marker that is not there, where the list has an order of its own.
 */
export function paged(result: Result, route: Route, query: unknown, url: string, links: Links): Result {
  if (route.paging === undefined || result.kind !== "json" || !Array.isArray(result.value)) return result;
  const { limit, marker } = query as PageQuery;
  if (limit === undefined && marker === undefined) return result;
  const page =
    result.more === undefined
      ? cut(result.value, route.paging, { limit, marker })
      : { items: result.value, more: result.more };
  const last = page.items.at(-1);
  if (!page.more || last === undefined) return { ...result, value: page.items };
  const headers = { ...result.headers, link: `<${nextUrl(url, keyOf(last), links)}>; rel="next"` };
  return { ...result, value: page.items, headers };
}

function cut(
  all: readonly unknown[],
  paging: Paging,
  { limit = Infinity, marker }: PageQuery,
): { readonly items: readonly unknown[]; readonly more: boolean } {
  const rest = paging === "as-listed" ? following(all, marker) : byKey(all, marker);
  return { items: rest.slice(0, limit), more: rest.length > limit };
}

function byKey(all: readonly unknown[], marker: string | undefined): readonly unknown[] {
  const keyed = all.map((item) => ({ item, key: keyOf(item) })).sort((a, b) => (a.key < b.key ? -1 : 1));
  return keyed.filter(({ key }) => marker === undefined || key > marker).map(({ item }) => item);
}

function following(all: readonly unknown[], marker: string | undefined): readonly unknown[] {
  if (marker === undefined) return all;
  const at = all.findIndex((item) => keyOf(item) === marker);
  if (at >= 0) return all.slice(at + 1);
  const violation = { property: "marker", message: "must be the id of an object of the list" };
  throw new MidotraceError("VALIDATION", `the query is not valid: marker: ${violation.message}`, [violation]);
}

/** What tells an object from the others of its list: the end of its URI, which is its id where it has one. */
function keyOf(item: unknown): string {
  const { uri, hostId } = item as { readonly uri?: unknown; readonly hostId?: unknown };
  if (typeof uri === "string") return decodeURIComponent(uri.slice(uri.lastIndexOf("/") + 1));
  return typeof hostId === "string" ? hostId : "";
}

/** The request's own address with another marker: whatever else it asked for is asked for again. */
function nextUrl(url: string, marker: string, links: Links): string {
  const [path = "", text = ""] = url.split("?", 2);
  const query = new URLSearchParams(text);
  query.set("marker", marker);
  return `${new URL(links.base).origin}${path}?${query.toString()}`;
}
