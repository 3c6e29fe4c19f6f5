import { type Command, command, type Io, usage } from "#apps/cli/options";
import { stringifyExactJson } from "#core/api-contract";
import { type DeviceType, LIMIT_MAX } from "#core/topology";
import { type ApiClient, type Json, textOf } from "./api-client.ts";
import { API_OPTIONS, clientOf, JSON_OPTION } from "./api-options.ts";
import { follow, setEnabled } from "./follow.ts";
import { resolveDevice, resolveTrace, TRACE } from "./refs.ts";
import { COUNT_OPTION, flowCommands } from "./trace-flows.ts";
import { paths } from "./trace-paths.ts";
import { type Counts, NO_COUNTS, printRequests } from "./trace-text.ts";

const create = command({
  name: "trace create",
  summary: "ask for the flows through a device to be traced",
  positionals: [],
  options: {
    bridge: {
      kind: "text",
      placeholder: "REF",
      default: null,
      completes: "bridge",
      description: "trace what enters this bridge",
    },
    router: {
      kind: "text",
      placeholder: "REF",
      default: null,
      completes: "router",
      description: "trace what enters this router",
    },
    port: {
      kind: "text",
      placeholder: "REF",
      default: null,
      completes: "port",
      description: "trace what enters this port (device/port)",
    },
    name: { kind: "text", placeholder: "NAME", default: "", description: "a name for the request" },
    match: {
      kind: "text",
      placeholder: "EXPR",
      default: null,
      description: "only flows that match, in the words of pcap-filter; without it, every flow",
    },
    limit: {
      kind: "integer",
      placeholder: "N",
      default: null,
      min: 0n,
      max: LIMIT_MAX,
      unit: "flows per host and enabling",
      description: `trace at most this many flows; without it, every flow (${LIMIT_MAX})`,
    },
    enable: { kind: "flag", default: false, description: "begin at once" },
    follow: { kind: "flag", default: false, description: "show the flows as they come; implies --enable" },
    count: COUNT_OPTION,
    ...JSON_OPTION,
    ...API_OPTIONS,
  },
  examples: [
    'midotrace trace create --router red-router --match "icmp and dst host 10.0.2.2" --limit 10 --enable --follow',
    "midotrace trace create --port red-web/red-1 --name everything-of-red-1",
  ],
  async run({ options, io }) {
    const client = clientOf(options, io.stop);
    const asked = (["bridge", "router", "port"] as const).filter((kind) => options[kind] !== null);
    const [kind] = asked;
    if (kind === undefined || asked.length > 1) throw usage("name one device: --bridge, --router or --port");
    if (options.count !== null && !options.follow) throw usage("--count needs --follow");
    const deviceType = kind.toUpperCase() as DeviceType;
    const device = await resolveDevice(client, deviceType, options[kind] ?? "");
    const request = await client.create("/traces", {
      name: options.name,
      deviceType,
      deviceId: device.id,
      ...(options.match === null ? { condition: {} } : { condition: options.match }),
      ...(options.limit === null ? {} : { limit: options.limit }),
      enabled: options.enable && !options.follow,
    });
    if (!options.follow) {
      if (options.json) io.out(`${stringifyExactJson(request, 2)}\n`);
      else await printRequests(client, [request], io);
      return 0;
    }
    io.err(
      `trace request ${textOf(request, "id")} on ${kind} ${device.name}; Ctrl+C ends following, the request stays\n`,
    );
    // Enabled only when the stream is open: the first flow is not missed.
    await follow(
      client,
      {
        requestId: textOf(request, "id"),
        json: options.json,
        count: options.count === null ? null : Number(options.count),
        onOpen: () => setEnabled(client, request, true),
      },
      io,
    );
    return 0;
  },
});

const list = command({
  name: "trace list",
  summary: "list the trace requests, with the flows that each traced so far",
  positionals: [],
  options: { ...JSON_OPTION, ...API_OPTIONS },
  examples: ["midotrace trace list"],
  async run({ options, io }) {
    const client = clientOf(options, io.stop);
    const traces = await client.list("/traces");
    if (options.json) io.out(`${stringifyExactJson(traces, 2)}\n`);
    else await printRequests(client, traces, io, traces.length === 0 ? NO_COUNTS : await countsOf(client, io));
    return 0;
  },
});

/** Requests are listed when their flows cannot be: those are kept elsewhere. */
async function countsOf(client: ApiClient, io: Io): Promise<Counts> {
  try {
    return new Map((await client.list("/trace_summaries")).map((s) => [textOf(s, "id"), s]));
  } catch (error) {
    io.err(`how many flows: ${error instanceof Error ? error.message : String(error)}\n`);
    return new Map();
  }
}

/** A command about one trace request. */
function aboutTrace(
  word: string,
  summary: string,
  work: (client: ApiClient, request: Json, io: Io, json: boolean) => Promise<void>,
): Command {
  return command({
    name: `trace ${word}`,
    summary,
    positionals: [TRACE],
    options: { ...JSON_OPTION, ...API_OPTIONS },
    examples: [],
    async run({ options, positionals, io }) {
      const client = clientOf(options, io.stop);
      await work(client, await resolveTrace(client, positionals[0] as string), io, options.json);
      return 0;
    },
  });
}

async function show(client: ApiClient, request: Json, io: Io, json: boolean): Promise<void> {
  if (json) io.out(`${stringifyExactJson(request, 2)}\n`);
  else await printRequests(client, [request], io);
}

function switched(enabled: boolean): (client: ApiClient, request: Json, io: Io, json: boolean) => Promise<void> {
  return async (client, request, io, json) => {
    await setEnabled(client, request, enabled);
    await show(client, await client.object(`/traces/${textOf(request, "id")}`), io, json);
  };
}

async function remove(client: ApiClient, request: Json, io: Io, json: boolean): Promise<void> {
  await client.delete(`/traces/${textOf(request, "id")}`);
  if (!json) io.out(`deleted ${textOf(request, "name") || textOf(request, "id")}\n`);
}

export const traceCommands: readonly Command[] = [
  create,
  list,
  aboutTrace("show", "show a trace request", show),
  aboutTrace("enable", "begin tracing; the limit starts anew", switched(true)),
  aboutTrace("disable", "end tracing", switched(false)),
  aboutTrace("delete", "delete a trace request and its flows", remove),
  ...flowCommands,
  paths,
];
