import { join } from "node:path";
import { cliReference, commandIndex } from "#apps/cli";
import { AGENT_METRIC_TABLES } from "#apps/agent";
import { API_METRIC_TABLES } from "#apps/api";
import { metricReference, type MetricSection } from "#core/base";
import { authorisationReference, errorReference, restReference } from "#core/api-contract";
import { znodeReference } from "#core/nsdb";

export const commands = await Promise.all((await commandIndex()).map((entry) => entry.load()));

export const METRIC_SECTIONS: readonly MetricSection[] = [
  {
    title: "API server",
    about: "`GET /metrics` at the address of `--listen`.",
    tables: API_METRIC_TABLES,
  },
  {
    title: "Agent",
    about:
      "`GET /metrics` at the address of the agent's `--listen`. The lab in one process shows them on the page of its API\nserver, each with the label `host`.",
    tables: AGENT_METRIC_TABLES,
  },
];

/** The pages below docs/reference that are printed from declarations in the code. */
export const PRINTED_PAGES: Readonly<Record<string, () => string>> = {
  "rest-api.md": restReference,
  "authorisation.md": authorisationReference,
  "errors.md": errorReference,
  "cli.md": () => cliReference(commands),
  "metrics.md": () => metricReference(METRIC_SECTIONS),
  "znodes.md": znodeReference,
};

export const ROOT = join(import.meta.dirname, "../..");
export const pagePath = (name: string): string => join(ROOT, "docs/reference", name);
