import { type Command, command, readYaml, usage } from "#apps/cli/options";
import { stringifyExactJson } from "#core/api-contract";
import { printable } from "#core/tracing";
import { type ApiClient, type Json, objectOf, textOf } from "./api-client.ts";
import { API_OPTIONS, clientOf, JSON_OPTION } from "./api-options.ts";
import { DETAIL_KINDS, DETAIL_OPTIONS, showDetail } from "./topology-detail.ts";
import { table } from "./table.ts";

const apply = command({
  name: "topology apply",
  summary: "make the network as a file says; what the file does not name stays",
  positionals: [],
  options: {
    file: {
      kind: "text",
      placeholder: "FILE.yaml",
      default: null,
      short: "f",
      completes: "file",
      description: "the topology, YAML or JSON",
    },
    ...JSON_OPTION,
    ...API_OPTIONS,
  },
  examples: ["midotrace topology apply -f examples/example.yaml"],
  async run({ options, io }) {
    if (options.file === null) throw usage("topology apply needs -f FILE.yaml");
    const document = await readYaml(options.file);
    const report = await clientOf(options, io.stop).post("/topology", document);
    if (options.json) io.out(`${stringifyExactJson(report, 2)}\n`);
    else io.out(reportText(objectOf(report, "/topology")));
    return 0;
  },
});

const show = command({
  name: "topology show",
  summary: "list hosts, bridges and routers with their ports; or one device or chain with all that decides in it",
  positionals: [],
  options: { ...DETAIL_OPTIONS, ...JSON_OPTION, ...API_OPTIONS },
  examples: ["midotrace topology show", "midotrace topology show --router red-router"],
  async run({ options, io }) {
    const client = clientOf(options, io.stop);
    const asked = DETAIL_KINDS.filter((kind) => options[kind] !== null);
    const [kind] = asked;
    if (asked.length > 1) throw usage("name one: --bridge, --router, --port or --chain");
    if (kind !== undefined) {
      await showDetail(client, kind, options[kind] as string, options.json, io);
      return 0;
    }
    const all = await readAll(client);
    io.out(options.json ? `${stringifyExactJson(all, 2)}\n` : topologyText(all));
    return 0;
  },
});

export const topologyCommands: readonly Command[] = [apply, show];

/** What was created, changed and left: a line for each object that is new or different, and a count of all. */
function reportText(report: Json): string {
  const objects = Array.isArray(report["objects"]) ? (report["objects"] as Json[]) : [];
  const of = (action: string): Json[] => objects.filter((o) => textOf(o, "action") === action);
  const rows = objects
    .filter((o) => textOf(o, "action") !== "unchanged")
    .map((o) => {
      const changes = Array.isArray(o["changes"]) ? o["changes"].join(", ") : "";
      return [textOf(o, "action"), textOf(o, "kind"), textOf(o, "name"), changes];
    });
  const left = of("unchanged").length;
  return `${table(rows)}${of("created").length} created, ${of("changed").length} changed, ${left} left as they were\n`;
}

const COLLECTIONS = ["hosts", "bridges", "routers", "ports"] as const;
type Everything = Readonly<Record<(typeof COLLECTIONS)[number], readonly Json[]>>;

async function readAll(client: ApiClient): Promise<Everything> {
  const lists = await Promise.all(COLLECTIONS.map(async (c) => (await client.list(`/${c}`)).toSorted(byName)));
  return Object.fromEntries(COLLECTIONS.map((c, i) => [c, lists[i] ?? []])) as unknown as Everything;
}

const byName = (a: Json, b: Json): number =>
  textOf(a, "name").localeCompare(textOf(b, "name"), "en", { numeric: true });

function topologyText({ hosts, bridges, routers, ports }: Everything): string {
  const byId = new Map([...hosts, ...bridges, ...routers, ...ports].map((o) => [textOf(o, "id"), o]));
  const name = (id: string): string => textOf(byId.get(id) ?? {}, "name") || id;
  const full = (port: Json): string =>
    `${name(textOf(port, "deviceId"))}/${textOf(port, "name") || textOf(port, "id")}`;
  const lines: string[] = [];
  const device = (kind: string, d: Json): void => {
    const tenant = textOf(d, "tenantId");
    lines.push(`${kind} ${name(textOf(d, "id"))}${tenant === "" ? "" : `  (tenant ${tenant})`}`);
    const own = ports.filter((p) => textOf(p, "deviceId") === textOf(d, "id"));
    own.forEach((p, i) => {
      const address = textOf(p, "portAddress");
      const peer = byId.get(textOf(p, "peerId"));
      const bound = textOf(p, "hostId");
      const where = [
        address === "" ? "" : `${address}/${String(p["networkLength"])}`,
        bound === "" ? "" : `on ${name(bound)}:${textOf(p, "interfaceName")}${p["active"] === true ? "" : " (down)"}`,
        peer === undefined ? "" : `to ${full(peer)}`,
      ].filter((s) => s !== "");
      lines.push(
        `  ${i === own.length - 1 ? "└─" : "├─"} ${textOf(p, "name") || textOf(p, "id")}  ${where.join("  ")}`.trimEnd(),
      );
    });
  };
  for (const h of hosts) lines.push(`host ${name(textOf(h, "id"))}${h["alive"] === true ? "" : "  (down)"}`);
  for (const b of bridges) device("bridge", b);
  for (const r of routers) device("router", r);
  return lines.length === 0 ? "the network is empty\n" : `${lines.map(printable).join("\n")}\n`;
}
