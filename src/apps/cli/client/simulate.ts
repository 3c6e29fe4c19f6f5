import { command, usage } from "#apps/cli/options";
import { stringifyExactJson } from "#core/api-contract";
import { API_OPTIONS, clientOf, JSON_OPTION } from "./api-options.ts";
import { flowTraceOf, printFlow } from "./flow-text.ts";
import { resolveDevice } from "./refs.ts";

export const simulate = command({
  name: "simulate",
  summary: "ask what would become of a packet, without sending it",
  positionals: [],
  options: {
    port: {
      kind: "text",
      placeholder: "REF",
      default: null,
      completes: "port",
      description: "the port it would enter by (device/port)",
    },
    packet: { kind: "text", placeholder: "EXPR", default: null, description: "the packet, in tcpdump's manner" },
    ...JSON_OPTION,
    ...API_OPTIONS,
  },
  examples: ['midotrace simulate --port red-web/red-1 --packet "tcp 10.0.1.10:4000 > 10.0.2.2:22"'],
  async run({ options, io }) {
    if (options.port === null || options.packet === null) throw usage("simulate needs --port and --packet");
    const client = clientOf(options, io.stop);
    const port = await resolveDevice(client, "PORT", options.port);
    const answer = await client.post("/simulations", { port: port.id, packet: options.packet });
    if (options.json) io.out(`${stringifyExactJson(answer, 2)}\n`);
    else printFlow(flowTraceOf(answer), { json: false }, io);
    return 0;
  },
});
