/** The examples of the contract, sent to a server one after the other: what the reference page shows. */
import { allRoutes, EXAMPLE_HOST, EXAMPLES, type OperationId } from "#core/api-contract";
import type { HostId } from "#core/base";
import { type Answer, send, startRig, type Rig } from "../integration/api-support.ts";

export interface Exchange {
  readonly operation: OperationId;
  readonly request: string;
  readonly status: number;
  readonly answer: string;
}

/** As a client behind a name would have it. */
const HOST = "api.example:8181";
/** Lines that an answer shows of what is long. */
const MOST_LINES = 80;

/** What an agent would have said of the host of the examples. */
async function sayOfHost({ nsdb }: Rig): Promise<void> {
  const host = EXAMPLE_HOST as HostId;
  await nsdb.state.setAlive(host);
  await nsdb.state.putInterface(host, {
    name: "tap0",
    mac: "02:00:00:00:00:0a",
    mtu: 1500,
    status: 3,
    type: "Virtual",
    endpoint: "VM",
    portType: "NetDev",
    addresses: [],
  });
}

/** @throws Error for an answer that is none of the operation's success. */
export async function replayExamples(): Promise<Exchange[]> {
  const rig = await startRig();
  const routes = new Map(allRoutes());
  const exchanges: Exchange[] = [];
  try {
    for (const [operation, example] of Object.entries(EXAMPLES)) {
      const id = operation as OperationId;
      const route = routes.get(id);
      // One that is still to come.
      if (route === undefined) continue;
      const headers = {
        ...example.headers,
        ...(example.body === undefined ? {} : { "content-type": "application/json" }),
      };
      const ask = {
        headers: { ...headers, host: HOST },
        ...(example.body === undefined ? {} : { body: example.body }),
      };
      const [method, url] = [route.method, rig.server.url + example.path];
      // A stream has no end to wait for: its head tells.
      const streams = route.answer.kind === "events";
      if (id === "deleteHost") await rig.nsdb.state.clearAlive(EXAMPLE_HOST as HostId);
      const answer = await send(url, streams ? "HEAD" : method, ask);
      if (answer.status >= 300) throw new Error(`${operation}: ${answer.status} ${answer.text}`);
      if (id === "createHost") await sayOfHost(rig);
      const request = [`${method} ${example.path}`, ...lines(headers), ...bodyLines(example.body)].join("\n");
      exchanges.push({ operation: id, request, status: answer.status, answer: shown(answer) });
    }
  } finally {
    await rig.stop();
  }
  return exchanges;
}

const lines = (headers: Readonly<Record<string, string>>): string[] =>
  Object.entries(headers).map(([name, value]) => `${name}: ${value}`);

const bodyLines = (body: unknown): string[] => (body === undefined ? [] : ["", JSON.stringify(body, null, 2)]);

function shown({ status, headers, text }: Answer): string {
  const head = ["location", "link", "set-cookie", "content-type"].flatMap((name) => {
    const value = headers[name];
    return value === undefined ? [] : [`${name}: ${String(value)}`];
  });
  return [String(status), ...head, ...(text === "" ? [] : ["", ...body(String(headers["content-type"]), text)])].join(
    "\n",
  );
}

function body(type: string, text: string): string[] {
  // The OpenAPI document and the pages change with everything.
  if (text.startsWith('{"openapi"')) return cut(pretty(text).split("\n"), 5);
  if (type.includes("json")) return cut(pretty(text).split("\n"), MOST_LINES);
  return type.startsWith("text/plain") ? cut(text.split("\n"), 3) : ["…"];
}

/** Indented as it is: integers beyond those of JavaScript stay. */
function pretty(text: string): string {
  const exact = text.replaceAll(/(?<=[:[,])(-?\d{16,})(?=[,\]}])/g, '"#$1#"');
  return JSON.stringify(JSON.parse(exact), null, 2).replaceAll(/"#(-?\d+)#"/g, "$1");
}

function cut(all: readonly string[], most: number): string[] {
  return all.length <= most ? [...all] : [...all.slice(0, most), "…"];
}

/** The text of docs/reference/rest-examples.md. */
export function examplesPage(exchanges: readonly Exchange[]): string {
  const parts = exchanges.map(
    (e) => `## ${e.operation}\n\n\`\`\`http\n${e.request}\n\`\`\`\n\n\`\`\`http\n${e.answer}\n\`\`\`\n`,
  );
  return `# Examples of the REST API

One exchange of each operation, in the order of a session that makes a network, traces in it and takes it apart. The requests are
those of \`src/core/api-contract/examples.ts\`; the answers are what a server said when \`test/docs/print.ts\` replayed them, and a test
compares them with what it says now. Fields and errors: [rest-api.md](rest-api.md).

${parts.join("\n")}`;
}
