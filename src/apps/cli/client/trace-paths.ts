import { command, type Io } from "#apps/cli/options";
import { stringifyExactJson } from "#core/api-contract";
import { MidotraceError } from "#core/base";
import { type Ink, Page } from "#core/tracing";
import { type Json, textOf } from "./api-client.ts";
import { API_OPTIONS, clientOf, JSON_OPTION } from "./api-options.ts";
import { FLOW_FILTERS, filterQuery } from "./flow-filters.ts";
import { dateText, verdictText } from "./flow-text.ts";
import { resolveTrace, TRACE } from "./refs.ts";

export const paths = command({
  name: "trace paths",
  summary: "group the flows of a request by the path they took: same devices, same decisions, same end",
  positionals: [TRACE],
  options: {
    limit: {
      kind: "integer",
      placeholder: "N",
      default: 20n,
      min: 1n,
      max: 1_000n,
      unit: "paths",
      description: "at most this many, those of most flows first",
    },
    ...FLOW_FILTERS,
    ...JSON_OPTION,
    ...API_OPTIONS,
  },
  examples: ["midotrace trace paths my-trace", "midotrace trace paths my-trace --verdict dropped --since 1h"],
  async run({ options, positionals, io }) {
    const client = clientOf(options, io.stop);
    const query = filterQuery(options, Date.now());
    const request = await resolveTrace(client, positionals[0] as string);
    const filtered = query.size > 0;
    query.set("limit", String(options.limit));
    const answer = await client.object(`/traces/${textOf(request, "id")}/paths?${query.toString()}`);
    const found = answer["paths"];
    if (!Array.isArray(found)) throw new MidotraceError("INTERNAL", "the server answered without paths");
    if (options.json) io.out(`${stringifyExactJson(found, 2)}\n`);
    else if (found.length === 0) io.out(filtered ? "no flow fits\n" : "no flow has been traced yet\n");
    else (found as Json[]).forEach((path, i) => printPath(path, i, textOf(request, "name"), io));
    if (answer["more"] === true) io.err("there are more paths: --limit shows them\n");
    return 0;
  },
});

const INKS: Readonly<Record<string, Ink>> = { "✓": "good", "✗": "bad", "?": "unsure" };

function printPath(path: Json, index: number, trace: string, io: Io): void {
  const page = new Page({ colour: io.colours, width: io.columns });
  if (index > 0) page.blank();
  const verdict = verdictText(textOf(path, "verdict") as never);
  const count = Number(path["count"]);
  page.line("", "  ", [
    [verdict.replace(" ", "\u00a0"), INKS[verdict.slice(0, 1)] ?? "plain"],
    [`  ${count} flow${count === 1 ? "" : "s"}`, "strong"],
    [`, ${seenText(path)}`, "plain"],
  ]);
  page.line("  ", "  ", [[textOf(path, "why"), "plain"]]);
  for (const hop of listOf(path["hops"])) {
    const devices = onTheWay(listOf(hop["devices"])).map((d) =>
      d["withheld"] === true ? "▒▒ withheld" : deviceText(d),
    );
    const host = textOf(hop, "hostName") || textOf(hop, "hostId");
    page.line("  ", "    ", [
      [/^(the )?host /.test(host) ? host : `host ${host}`, "strong"],
      [`  ${devices.join(" → ")}`, "plain"],
    ]);
  }
  const named = trace === "" ? "TRACE" : /^[\w.-]+$/.test(trace) ? trace : `'${trace}'`;
  page.line("  ", "    ", [[`one of them: midotrace trace flow ${named} ${textOf(path, "sample")}`, "faint"]]);
  io.out(page.text());
}

/** Without the port where it entered, when that comes last again: what is said there at the end is about the whole way. */
function onTheWay(devices: readonly Json[]): readonly Json[] {
  const [first] = devices;
  const again = devices.length > 1 && first?.["id"] !== undefined && devices.at(-1)?.["id"] === first["id"];
  return again ? devices.slice(0, -1) : devices;
}

function seenText(path: Json): string {
  const [first, last] = [path["firstSeenMs"], path["lastSeenMs"]].map((ms) => dateText(Number(ms)));
  return first === last ? `seen at ${first}` : `first seen ${first}, last seen ${last}`;
}

const deviceText = (d: Json): string => `${textOf(d, "type")} ${textOf(d, "name") || textOf(d, "id")}`;

const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? (value as Json[]) : []);
