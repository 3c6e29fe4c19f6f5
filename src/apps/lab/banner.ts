import { formatIpv4 } from "#core/packets";
import type { Lab } from "./lab.ts";
import { columns, labelled, type Paint, plural } from "./screen.ts";

export interface BannerFacts {
  /** What the user sees of `--data`. */
  readonly store: string;
  readonly source: string;
  readonly traffic: boolean;
  readonly errands: number;
  /** Of the trace that is enabled, null for none. */
  readonly trace: { readonly name: string; readonly text: string } | null;
}

/** What was built and how to reach it. */
export function banner(lab: Lab, facts: BannerFacts, paint: Paint): string {
  const { records } = lab;
  const count = (list: readonly unknown[] | undefined, word: string): string => plural(list?.length ?? 0, word);
  const network = [
    count(records?.bridges, "bridge"),
    count(records?.routers, "router"),
    count(records?.ports, "port"),
    count(records?.chains, "chain"),
  ].join(", ");
  const hosts = lab.hosts.map((h) => `${h.name} ${paint("faint", formatIpv4(h.tunnelIp))}`).join("   ");
  const vms = lab.ports.flatMap(({ vm, name, id }) => {
    const host = records?.hosts.find((h) => h.id === records.ports.find((p) => p.id === id)?.hostId)?.name ?? "";
    return vm === null ? [] : [[vm.name, formatIpv4(vm.config.ip), name, host]];
  });
  const parts = [
    `\n${paint("strong", "midotrace lab")}  a virtual network in one process\n`,
    labelled(
      [
        ["Network", `${network}  ${paint("faint", facts.source)}`],
        ["Hosts", hosts === "" ? "none" : hosts],
        ["Store", facts.store],
        ["Traffic", trafficText(facts, vms.length)],
        ["Trace", facts.trace === null ? "none enabled" : facts.trace.text],
        ["API", paint("key", `${lab.url}/midonet-api`)],
      ],
      paint,
    ),
  ];
  if (vms.length > 0) parts.push(columns(["VM", "ADDRESS", "PORT", "HOST"], vms, paint));
  parts.push(hints(lab, facts, paint));
  return parts.join("\n");
}

function trafficText(facts: BannerFacts, vms: number): string {
  if (!facts.traffic) return "off: the VMs only answer";
  if (facts.errands === 0) return "none: no VM has anything to do";
  return `${plural(facts.errands, "errand")} among ${plural(vms, "VM")}, some of them refused`;
}

function hints(lab: Lab, facts: BannerFacts, paint: Paint): string {
  const api = lab.url.endsWith("127.0.0.1:8181") ? "" : ` --api ${lab.url}`;
  const lines = [
    ...(facts.trace === null ? [] : [`npx midotrace trace follow ${facts.trace.name}${api}`]),
    `npx midotrace topology show${api}`,
  ];
  if (lab.ports.some((p) => p.name === "red-web/red-1")) {
    lines.push(
      `npx midotrace simulate --port red-web/red-1 --packet "tcp 10.0.1.10:4000 > 10.0.2.2:22"${api}`,
      `npx midotrace trace create --bridge blue-net --match "tcp and dst port 80" --enable --follow${api}`,
    );
  }
  return `  ${paint("faint", "Try, in another terminal:")}\n${lines.map((l) => `    ${l}\n`).join("")}`;
}
