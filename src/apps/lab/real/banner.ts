import { formatIpv4 } from "#core/packets";
import { columns, labelled, type Paint, plural } from "../screen.ts";
import type { RealLab } from "./real-lab.ts";

export interface RealBannerFacts {
  readonly source: string;
  readonly errands: number;
  readonly seconds: number;
  readonly trace: string | null;
}

/** What stands, and how to reach it. */
export function realBanner(lab: RealLab, facts: RealBannerFacts, paint: Paint): string {
  const hosts = lab.hosts.map((h) => `${h.name} ${paint("faint", h.machine.tunnelIp)}`).join("   ");
  const vms = lab.vms.map((v) => [v.name, formatIpv4(v.spec.ip), v.spec.port, v.host, v.vm.namespace.name]);
  const name = lab.vms[0]?.name ?? "VM";
  const other = lab.vms.find((v) => v.host !== lab.vms[0]?.host);
  const target = other === undefined ? "127.0.0.1" : formatIpv4(other.spec.ip);
  const hints = [
    `midotrace lab exec ${name} -- ping -c 3 ${target}`,
    `ip netns exec ${name} ping -c 3 ${target}`,
    ...(facts.trace === null ? [] : [`midotrace trace follow example --api ${lab.url}`]),
  ];
  return [
    `\n${paint("strong", "midotrace lab --ovs")}  a virtual network on real kernels, up in ${facts.seconds.toFixed(1)} s\n`,
    labelled(
      [
        ["Hosts", hosts],
        ["Source", facts.source],
        ["Store", lab.storeUrl],
        ["Traffic", facts.errands === 0 ? "none" : plural(facts.errands, "errand")],
        ["Trace", facts.trace ?? "none enabled"],
        ["Logs", lab.logDirectory],
        ["API", paint("key", `${lab.url}/midonet-api`)],
      ],
      paint,
    ),
    columns(["VM", "ADDRESS", "PORT", "HOST", "NAMESPACE"], vms, paint),
    `  ${paint("faint", "Try, in another terminal:")}\n${hints.map((l) => `    ${l}\n`).join("")}`,
  ].join("\n");
}
