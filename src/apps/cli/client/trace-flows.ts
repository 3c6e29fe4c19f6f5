import { type Command, command, type Io, usage } from "#apps/cli/options";
import { stringifyExactJson } from "#core/api-contract";
import { columnsOf } from "#core/tracing";
import { textOf } from "./api-client.ts";
import { API_OPTIONS, clientOf, JSON_OPTION } from "./api-options.ts";
import { FLOW_FILTERS, filterQuery } from "./flow-filters.ts";
import { clockText, flowPage, flowTraceOf, keyText, type ListedFlow, printFlow, verdictText } from "./flow-text.ts";
import { follow } from "./follow.ts";
import { resolveFlow, resolveTrace, TRACE } from "./refs.ts";
import { table } from "./table.ts";

export const COUNT_OPTION = {
  kind: "integer",
  placeholder: "N",
  default: null,
  min: 1n,
  max: 1_000_000_000n,
  description: "end after this many flows instead of going on until stopped",
} as const;

export const FLOW = {
  name: "FLOWTRACEID",
  description: "id of the flow trace as `trace flows` lists it, or the beginning of one; `latest` is the newest",
  completes: "flow",
} as const;

/** Of flows that are listed, the most that a server gives at once. */
const PAGE = 1_000;

const flows = command({
  name: "trace flows",
  summary: "list the flows that a request has traced, the newest first",
  positionals: [TRACE],
  options: {
    limit: {
      kind: "integer",
      placeholder: "N",
      default: 20n,
      min: 1n,
      max: BigInt(PAGE),
      unit: "flows",
      description: "at most this many",
    },
    before: {
      kind: "text",
      placeholder: "CURSOR",
      default: null,
      description: "older flows than those listed before, from where that list says",
    },
    all: {
      kind: "flag",
      default: false,
      description: "all of them, whatever --limit says; with --json, one on a line",
    },
    tree: { kind: "flag", default: false, description: "show each hop by hop" },
    ...FLOW_FILTERS,
    ...JSON_OPTION,
    ...API_OPTIONS,
  },
  examples: [
    "midotrace trace flows my-trace --verdict dropped --since 10m",
    "midotrace trace flows my-trace --drop-reason filter-drop --limit 1 --tree",
    "midotrace trace flows my-trace --address 10.0.2.20 --l4-port 443 --all --json | jq -r .why | sort | uniq -c",
  ],
  async run({ options, positionals, io }) {
    const client = clientOf(options, io.stop);
    const query = filterQuery(options, Date.now());
    const name = positionals[0] as string;
    const id = textOf(await resolveTrace(client, name), "id");
    const filtered = query.size > 0;
    query.set("limit", String(options.all ? PAGE : options.limit));
    if (options.before !== null) query.set("before", options.before);
    let listed = 0;
    for (;;) {
      const page = await flowPage(client, `/traces/${id}/flows?${query.toString()}`);
      if (options.json && !options.all) io.out(`${stringifyExactJson(page.flows, 2)}\n`);
      else if (options.json) for (const flow of page.flows) printFlow(flow, options, io);
      else printFlows(page.flows, { tree: options.tree, head: listed === 0 }, io);
      listed += page.flows.length;
      if (page.next === null) break;
      if (!options.all) {
        io.err(`there are older ones: --before ${page.next}, or --all\n`);
        break;
      }
      query.set("before", page.next);
    }
    if (listed === 0 && !options.json) io.out(filtered ? "no flow fits\n" : "no flow has been traced yet\n");
    return 0;
  },
});

function printFlows(list: readonly ListedFlow[], { tree, head }: { tree: boolean; head: boolean }, io: Io): void {
  if (list.length === 0) return;
  if (tree) {
    list.forEach((flow, i) => {
      if (i > 0 || !head) io.out("\n");
      printFlow(flow, { json: false }, io);
    });
    return;
  }
  const rows = list.map((f) => [
    clockText(f.startedAtMs),
    verdictText(f.verdict),
    f.completeness.state,
    f.dropReason ?? "-",
    `${f.pinned === true ? "★ " : ""}${keyText(f.key)}`,
    f.flowTraceId as string,
  ]);
  const titles = head ? [["TIME", "VERDICT", "ANSWER", "REASON", "FLOW", "FLOW TRACE"]] : [];
  const whole = table([...titles, ...rows]);
  if (widest(whole) <= io.columns) io.out(whole);
  else {
    // The beginning of an id is enough for the next command.
    const short = rows.map((row) => [...row.slice(0, -1), row.at(-1)?.slice(0, 8) ?? ""]);
    io.out(table([...titles, ...short], { width: io.columns, shrink: [4, 3] }));
  }
}

const widest = (text: string): number => Math.max(...text.split("\n").map(columnsOf));

const flow = command({
  name: "trace flow",
  summary: "show one traced flow, hop by hop: what became of it and what to do about it, then how it came to that",
  positionals: [TRACE, FLOW],
  options: { ...JSON_OPTION, ...API_OPTIONS },
  examples: ["midotrace trace flow my-trace latest", "midotrace trace flow my-trace 3f2a9c11"],
  async run({ options, positionals, io }) {
    const client = clientOf(options, io.stop);
    const id = textOf(await resolveTrace(client, positionals[0] as string), "id");
    const flowTraceId = await resolveFlow(client, id, positionals[1] as string);
    printFlow(flowTraceOf(await client.get(`/traces/${id}/flows/${flowTraceId}`)), options, io);
    return 0;
  },
});

const followCommand = command({
  name: "trace follow",
  summary: "show the flows of a request as they come, also over a lost connection",
  positionals: [TRACE],
  options: { count: COUNT_OPTION, ...JSON_OPTION, ...API_OPTIONS },
  examples: ["midotrace trace follow my-trace", "midotrace trace follow my-trace --json | jq -r .why"],
  async run({ options, positionals, io }) {
    const client = clientOf(options, io.stop);
    const requestId = textOf(await resolveTrace(client, positionals[0] as string), "id");
    const count = options.count === null ? null : Number(options.count);
    await follow(client, { requestId, json: options.json, count }, io);
    return 0;
  },
});

function pinning(word: "pin" | "unpin", summary: string, done: string): Command {
  return command({
    name: `trace ${word}`,
    summary,
    positionals: [TRACE, FLOW],
    options: { ...JSON_OPTION, ...API_OPTIONS },
    examples: [`midotrace trace ${word} my-trace latest`],
    async run({ options, positionals, io }) {
      const client = clientOf(options, io.stop);
      const [trace, flowRef] = positionals as readonly [string, string];
      if (flowRef === "") throw usage("name the flow trace");
      const id = textOf(await resolveTrace(client, trace), "id");
      const flowTraceId = await resolveFlow(client, id, flowRef);
      const path = `/traces/${id}/flows/${flowTraceId}/pin`;
      await (word === "pin" ? client.put(path, undefined) : client.delete(path));
      if (options.json) io.out(`${stringifyExactJson({ flowTraceId, pinned: word === "pin" })}\n`);
      else io.out(`${done} ${flowTraceId}\n`);
      return 0;
    },
  });
}

export const flowCommands: readonly Command[] = [
  flows,
  flow,
  followCommand,
  pinning("pin", "keep a flow trace, whatever must make room", "pinned"),
  pinning("unpin", "let a flow trace go with the others again", "unpinned"),
];
