import type { Io, OptionTable } from "#apps/cli/options";
import { stringifyExactJson } from "#core/api-contract";
import { printable } from "#core/tracing";
import { type ApiClient, type Json, textOf } from "./api-client.ts";
import { conditionText } from "./condition-text.ts";
import { resolveChain, resolveDevice } from "./refs.ts";
import { table } from "./table.ts";

export const DETAIL_KINDS = ["bridge", "router", "port", "chain"] as const;
export type DetailKind = (typeof DETAIL_KINDS)[number];

const ref = (what: DetailKind, description: string) =>
  ({ kind: "text", placeholder: "REF", default: null, completes: what, description }) as const;

export const DETAIL_OPTIONS = {
  bridge: ref("bridge", "only this bridge: its ports, filters and learned MACs"),
  router: ref("router", "only this router: its ports, filters, routes and ARP table"),
  port: ref("port", "only this port (device/port): where it leads, and its filters"),
  chain: ref("chain", "only this chain: its rules, in their order"),
} as const satisfies OptionTable;

/** What of an object decides about packets, each table below its title. */
export async function showDetail(
  client: ApiClient,
  kind: DetailKind,
  name: string,
  json: boolean,
  io: Io,
): Promise<void> {
  const detail = kind === "chain" ? await chainDetail(client, name) : await deviceDetail(client, kind, name);
  if (json) {
    io.out(`${stringifyExactJson(detail, 2)}\n`);
    return;
  }
  const { object, chains, names } = detail;
  const lines = [heading(kind, object, names)];
  if (kind === "port") lines.push(portLine(object, names));
  const section = (title: string, rows: string[][], head: string[]): void => {
    const body =
      rows.length === 0
        ? "  none\n"
        : table([head, ...rows])
            .replaceAll(/^/gm, "  ")
            .trimEnd();
    lines.push(`\n${title}\n${body.trimEnd()}`);
  };
  if (detail.ports !== undefined)
    section(
      "Ports",
      detail.ports.map((p) => [textOf(p, "name") || textOf(p, "id"), stateOf(p), portLine(p, names)]),
      ["PORT", "STATE", "LEADS"],
    );
  if (detail.routes !== undefined)
    section(
      "Routes, the longest prefix first",
      routesOf(detail.routes).map((r) => routeRow(r, names)),
      ["TO", "FROM", "TYPE", "GATEWAY", "PORT", "WEIGHT"],
    );
  if (detail.arp !== undefined)
    section(
      "ARP table",
      detail.arp.map((a) => [textOf(a, "ip"), textOf(a, "macAddr") || textOf(a, "mac")]),
      ["IP", "MAC"],
    );
  if (detail.macs !== undefined)
    section(
      "MAC table",
      detail.macs.map((m) => [textOf(m, "macAddr"), names[textOf(m, "portId")] ?? textOf(m, "portId")]),
      ["MAC", "PORT"],
    );
  for (const { title, rules } of chains) section(title, ruleRows(rules, names), ["", "RULE", "WHEN"]);
  io.out(`${lines.map(lineText).join("\n")}\n`);
}

interface Detail {
  readonly object: Json;
  readonly ports?: readonly Json[];
  readonly routes?: readonly Json[];
  readonly arp?: readonly Json[];
  readonly macs?: readonly Json[];
  readonly chains: readonly { readonly title: string; readonly rules: readonly Json[] }[];
  /** By id. */
  readonly names: Readonly<Record<string, string>>;
}

async function chainDetail(client: ApiClient, name: string): Promise<Detail> {
  const { id } = await resolveChain(client, name);
  const [object, chain, names] = await Promise.all([
    client.object(`/chains/${id}`),
    rulesOf(client, id, "Rules, in their order"),
    allNames(client),
  ]);
  return { object, chains: [chain], names };
}

async function deviceDetail(client: ApiClient, kind: "bridge" | "router" | "port", name: string): Promise<Detail> {
  const device = await resolveDevice(client, kind.toUpperCase() as "BRIDGE" | "ROUTER" | "PORT", name);
  const path = `/${kind}s/${device.id}`;
  const [object, names] = await Promise.all([client.object(path), allNames(client)]);
  // Not every server has the table, and not every viewer may see it: what there is is shown.
  const optional = async (name: string, what: string): Promise<object> => {
    const rows = await client.list(`${path}/${what}`).catch(() => null);
    return rows === null ? {} : { [name]: rows };
  };
  const filters = [
    ["inboundFilterId", "Inbound filter"],
    ["outboundFilterId", "Outbound filter"],
  ] as const;
  const chains = await Promise.all(
    filters.flatMap(([field, title]) => {
      const id = textOf(object, field);
      return id === "" ? [] : [rulesOf(client, id, `${title}: chain ${names[id] ?? id}`)];
    }),
  );
  if (kind === "port") return { object, chains, names };
  const ports = await client.list(`${path}/ports`);
  if (kind === "bridge") return { object, ports, ...(await optional("macs", "mac_table")), chains, names };
  return {
    object,
    ports,
    routes: await client.list(`${path}/routes`),
    ...(await optional("arp", "arp_table")),
    chains,
    names,
  };
}

async function rulesOf(client: ApiClient, id: string, title: string): Promise<Detail["chains"][number]> {
  const rules = await client.list(`/chains/${id}/rules`);
  return { title, rules: rules.toSorted((a, b) => Number(a["position"]) - Number(b["position"])) };
}

async function allNames(client: ApiClient): Promise<Readonly<Record<string, string>>> {
  const [hosts, bridges, routers, chains, ports] = await Promise.all(
    // A tenant may not list everything: what has no name is shown by its id.
    ["/hosts", "/bridges", "/routers", "/chains", "/ports"].map((path) => client.list(path).catch(() => [])),
  );
  const names: Record<string, string> = {};
  for (const o of [hosts, bridges, routers, chains].flat())
    if (o !== undefined) names[textOf(o, "id")] = textOf(o, "name");
  for (const p of ports ?? []) {
    const device = names[textOf(p, "deviceId")] ?? textOf(p, "deviceId");
    names[textOf(p, "id")] = `${device}/${textOf(p, "name") || textOf(p, "id")}`;
  }
  return names;
}

function heading(kind: DetailKind, object: Json, names: Detail["names"]): string {
  const id = textOf(object, "id");
  const tenant = textOf(object, "tenantId");
  const notes = [
    id,
    ...(tenant === "" ? [] : [`tenant ${tenant}`]),
    ...(isDown(object) ? ["administratively down"] : []),
  ];
  return `${kind} ${names[id] || textOf(object, "name") || id}  (${notes.join(", ")})`;
}

const isDown = (o: Json): boolean => o["adminStateUp"] === false;

function stateOf(port: Json): string {
  if (isDown(port)) return "shut";
  if (textOf(port, "hostId") === "") return textOf(port, "peerId") === "" ? "unplugged" : "linked";
  return port["active"] === true ? "up" : "down";
}

function portLine(port: Json, names: Detail["names"]): string {
  const host = textOf(port, "hostId");
  const peer = textOf(port, "peerId");
  const address = textOf(port, "portAddress");
  const where = [
    address === "" ? "" : `${address}/${String(port["networkLength"])}`,
    host === "" ? "" : `on ${names[host] ?? host}:${textOf(port, "interfaceName")}`,
    peer === "" ? "" : `to ${names[peer] ?? peer}`,
  ];
  return where.filter((s) => s !== "").join("  ") || "nowhere: neither bound nor linked";
}

function routesOf(routes: readonly Json[]): readonly Json[] {
  const length = (r: Json): number => Number(r["dstNetworkLength"]);
  return routes.toSorted((a, b) => length(b) - length(a) || Number(a["weight"]) - Number(b["weight"]));
}

function routeRow(r: Json, names: Detail["names"]): string[] {
  const port = textOf(r, "nextHopPort");
  return [
    `${textOf(r, "dstNetworkAddr")}/${String(r["dstNetworkLength"])}`,
    `${textOf(r, "srcNetworkAddr")}/${String(r["srcNetworkLength"])}`,
    textOf(r, "type").toLowerCase(),
    textOf(r, "nextHopGateway") || "-",
    port === "" ? "-" : (names[port] ?? port),
    String(r["weight"]),
  ];
}

/** Trace rules stand beside the others: flow traces number the others without them. */
function ruleRows(rules: readonly Json[], names: Detail["names"]): string[][] {
  let place = 0;
  return rules.map((r) => {
    const jump = textOf(r, "jumpChainId");
    const type = textOf(r, "type");
    const number = type === "trace" ? "·" : String(++place);
    return [number, jump === "" ? type : `${type} to ${names[jump] ?? jump}`, conditionText(r)];
  });
}

/** Line by line: a name cannot begin one. */
const lineText = (block: string): string => block.split("\n").map(printable).join("\n");
