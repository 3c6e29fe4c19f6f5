import { command, type Completes, usage } from "#apps/cli/options";
import type { DeviceType } from "#core/topology";
import { type ApiClient, textOf } from "./api-client.ts";
import { API_OPTIONS, clientOf } from "./api-options.ts";
import { flowPage } from "./flow-text.ts";
import { devices, resolveTrace } from "./refs.ts";

/** Who presses Tab waits no longer than this. */
const PATIENCE_MS = 2_000;
const FLOWS = 50;

type Asked = Exclude<Completes, "file">;

const nameOrId = async (client: ApiClient, path: string): Promise<string[]> =>
  (await client.list(path)).map((o) => textOf(o, "name") || textOf(o, "id"));

const traceable = async (client: ApiClient, type?: DeviceType): Promise<string[]> =>
  (await devices(client, type)).map((d) => d.name);

const NAMES: { readonly [K in Asked]: (client: ApiClient, of: string | undefined) => Promise<string[]> } = {
  trace: (client) => nameOrId(client, "/traces"),
  flow: async (client, of) => {
    if (of === undefined) throw usage("complete flow needs the trace request: complete flow TRACE");
    const id = textOf(await resolveTrace(client, of), "id");
    const { flows } = await flowPage(client, `/traces/${id}/flows?limit=${FLOWS}`);
    return ["latest", ...flows.map((f) => f.flowTraceId as string)];
  },
  bridge: (client) => traceable(client, "BRIDGE"),
  router: (client) => traceable(client, "ROUTER"),
  chain: (client) => nameOrId(client, "/chains"),
  host: (client) => nameOrId(client, "/hosts"),
  port: (client) => traceable(client, "PORT"),
  device: (client) => traceable(client),
};

export const complete = command({
  name: "complete",
  summary: "print the names that a shell can offer, one on a line; `midotrace completion` makes use of it",
  positionals: [{ name: "KIND", description: Object.keys(NAMES).join(", ") }],
  options: {
    of: { kind: "text", placeholder: "TRACE", default: null, description: "whose flows, for the kind flow" },
    ...API_OPTIONS,
  },
  examples: ["midotrace complete router", "midotrace complete flow --of my-trace"],
  async run({ options, positionals, io }) {
    const kind = positionals[0] as string;
    if (!Object.hasOwn(NAMES, kind)) throw usage(`complete knows ${Object.keys(NAMES).join(", ")}, not ${kind}`);
    const client = clientOf(options, AbortSignal.any([io.stop, AbortSignal.timeout(PATIENCE_MS)]));
    const names = await NAMES[kind as Asked](client, options.of ?? undefined);
    // A name with a line break in it cannot be offered.
    const said = [...new Set(names)].filter((name) => name !== "" && !/[\r\n]/.test(name));
    io.out(said.map((name) => `${name}\n`).join(""));
    return 0;
  },
});
