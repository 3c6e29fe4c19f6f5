import type { Clock, Random, Scheduler } from "#core/base";
import type { Exporter } from "#core/exporting";
import { Courier, type ExportLog } from "./courier/courier.ts";
import type { CourierLimits } from "./courier/limits.ts";
import type { ExportWire } from "./courier/wire.ts";
import { ElasticsearchWire } from "./elasticsearch/elasticsearch-wire.ts";
import { FileWire } from "./file/file-wire.ts";
import { LogstashWire } from "./logstash/logstash-wire.ts";
import { ACK_MS, SplunkWire } from "./splunk/splunk-wire.ts";
import { parseTarget, type Target } from "./target.ts";

export interface ExporterParts {
  /** What is exported: the agent's steps, or the API server's flows. */
  readonly unit: "steps" | "flows";
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly log: ExportLog;
  /** Where secrets stand that URLs name. Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly limits?: Partial<CourierLimits>;
}

/**
 * The exporter of an `--export` URL, not started.
 * @throws MidotraceError USAGE that names what is wrong, without the secrets of the URL.
 */
export async function openExporter(url: string, parts: ExporterParts): Promise<Exporter> {
  const target = parseTarget(url);
  const { tenant } = target;
  const viewer = tenant === "" ? { admin: true, tenantId: "" } : { admin: false, tenantId: tenant };
  const name = tenant === "" ? target.name : `${target.name}?tenant=${tenant}`;
  const wire = await wireOf(target, parts);
  const limits = { ...(target.kind === "splunk" ? { answerMs: ACK_MS } : {}), ...parts.limits };
  return new Courier({ ...parts, name, wire, viewer, limits });
}

/** All of them, in order. @throws MidotraceError USAGE */
export async function openExporters(urls: readonly string[], parts: ExporterParts): Promise<Exporter[]> {
  const exporters: Exporter[] = [];
  for (const url of urls) exporters.push(await openExporter(url, parts));
  return exporters;
}

async function wireOf(target: Target, parts: ExporterParts): Promise<ExportWire> {
  const { unit } = parts;
  const env = parts.env ?? process.env;
  switch (target.kind) {
    case "file":
      return new FileWire(target);
    case "elasticsearch":
      return new ElasticsearchWire(target, unit, env);
    case "logstash":
      return new LogstashWire(target, parts);
    case "splunk":
      return new SplunkWire(target, { ...parts, env });
    case "otlp": {
      // Loaded here: whoever does not use it does not load OpenTelemetry.
      const { OtlpWire } = await import("./otlp/otlp-wire.ts");
      return new OtlpWire(target, unit, { ...parts, env });
    }
  }
}
