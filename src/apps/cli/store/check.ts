import { command, type OptionTable } from "#apps/cli/options";
import { inspectStore, type StoreReport } from "#core/nsdb";
import { STORE_OPTION, withStore } from "./main.ts";

export const JSON_OPTION = {
  json: { kind: "flag", default: false, description: "print JSON instead of sentences" },
} as const satisfies OptionTable;

export const storeCheck = command({
  name: "store check",
  summary: "check everything that the nodes of a store promise each other; exit code 1 when something does not hold",
  positionals: [],
  options: { ...STORE_OPTION, ...JSON_OPTION },
  examples: ["midotrace store check --store zookeeper://127.0.0.1:2181/midonet/v1"],
  async run({ options, io }) {
    const report = await withStore("store check", options.store, io, inspectStore);
    io.out(options.json ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
    return report.findings.length === 0 ? 0 : 1;
  },
});

/** A line for each finding, then what was looked at. */
export function reportText({ findings, objects, nodes, stable }: StoreReport): string {
  const looked = Object.entries(objects)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${count === 1 ? words(kind).slice(0, -1) : words(kind)}`);
  const lines = findings.map((finding) => `${finding}\n`);
  if (!stable) lines.push("the store was changed all the time: a finding may be of a change that was under way\n");
  const count =
    findings.length === 0 ? "no problem" : findings.length === 1 ? "1 problem" : `${findings.length} problems`;
  lines.push(`${count} in ${nodes} nodes: ${looked.length === 0 ? "no objects" : looked.join(", ")}\n`);
  return lines.join("");
}

/** "portGroups" → "port groups". */
const words = (kind: string): string => kind.replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
