import { ElasticsearchReceiver } from "../support/exporters/elasticsearch.ts";
import { FileReceiver } from "../support/exporters/file.ts";
import { LogstashReceiver } from "../support/exporters/logstash.ts";
import { OtlpReceiver } from "../support/exporters/otlp.ts";
import { SplunkReceiver } from "../support/exporters/splunk.ts";
import { exporterContract } from "./exporter.ts";

exporterContract("file", { unit: "steps", make: () => new FileReceiver() });
exporterContract("file", { unit: "flows", make: () => new FileReceiver() });
exporterContract("Elasticsearch", {
  unit: "steps",
  make: () => new ElasticsearchReceiver({ user: "midotrace:pass-word@" }),
});
exporterContract("Elasticsearch", { unit: "flows", make: () => new ElasticsearchReceiver() });
exporterContract("Logstash", { unit: "steps", make: () => new LogstashReceiver() });
exporterContract("Logstash", { unit: "flows", make: () => new LogstashReceiver() });
exporterContract("Splunk", { unit: "steps", make: () => new SplunkReceiver() });
exporterContract("Splunk", { unit: "flows", make: () => new SplunkReceiver() });
exporterContract("OpenTelemetry", { unit: "steps", make: () => new OtlpReceiver() });
exporterContract("OpenTelemetry", {
  unit: "flows",
  make: () => new OtlpReceiver(),
  flowIdOf: (trace, revision) => `${trace.flowTraceId.replaceAll("-", "")} ${revision}`,
});
