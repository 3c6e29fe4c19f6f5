/** Of Elasticsearch and OpenSearch; `opaque` is kept and shown, and not searched. */
type FieldType = "boolean" | "date" | "ip" | "keyword" | "long" | "opaque" | "text";

interface Field {
  readonly type: FieldType;
  /** What stands in it; docs/guide/exporting.md has a row for each. */
  readonly meaning: string;
}

const field = (type: FieldType, meaning: string): Field => ({ type, meaning });

export const ECS_VERSION = "8.17.0";

/**
 * Every field of an exported document: names of the Elastic Common Schema where it has one, `midotrace.*` for the rest. The
 * index template is made from here, and the table of the guide is compared with it.
 */
export const ECS_FIELDS = {
  "@timestamp": field("date", "when the step was taken, or the flow began, by the clock of the host"),
  "ecs.version": field("keyword", `the version of the schema, ${ECS_VERSION}`),
  message: field("text", "the sentence of the step or of the flow"),
  "event.kind": field("keyword", "`event`; `pipeline_error` for a loss"),
  "event.category": field("keyword", "`network`"),
  "event.type": field("keyword", "`connection` with `allowed` or `denied` for flows; `denied` or `info` for steps"),
  "event.module": field("keyword", "`midotrace`"),
  "event.dataset": field("keyword", "`midotrace.step`, `midotrace.flow` or `midotrace.loss`"),
  "event.action": field("keyword", "the kind of the step; `flow-traced`; `records-lost`; `withheld`"),
  "event.id": field("keyword", "the same for the same step, and for the same content of a flow"),
  "event.sequence": field("long", "the place of the step in its segment; the revision of the flow"),
  "event.outcome": field("keyword", "`success`, `failure` or `unknown`"),
  "event.reason": field("keyword", "the drop reason, or the cause of a loss"),
  "trace.id": field("keyword", "the flow-trace id without dashes: the trace id of the OpenTelemetry export too"),
  "host.id": field("keyword", "the host of the step; the hosts of the flow, under aliases for tenants"),
  "host.name": field("keyword", "their names"),
  "source.mac": field("keyword", "of the packet as the host first saw it, as all fields of source and destination"),
  "source.ip": field("ip", "source address"),
  "source.port": field("long", "TCP or UDP port"),
  "destination.mac": field("keyword", "destination MAC"),
  "destination.ip": field("ip", "destination address"),
  "destination.port": field("long", "TCP or UDP port"),
  "network.type": field("keyword", "`ipv4`, `ipv6`, `arp`"),
  "network.transport": field("keyword", "`tcp`, `udp`, `icmp`, `ipv6-icmp`"),
  "network.iana_number": field("keyword", "the IP protocol"),
  "labels.flow_trace_id": field("keyword", "the flow-trace id"),
  "labels.trace_request_ids": field("keyword", "the trace requests that asked for the flow"),
  "labels.cookie": field("keyword", "the packet's number at its host; none for tenants"),
  "midotrace.role": field("keyword", "`ingress` or `egress`"),
  "midotrace.icmp_id": field("long", "the ICMP identifier"),
  "midotrace.device.type": field("keyword", "`port`, `bridge`, `router` or `host`; of a flow, all that are shown"),
  "midotrace.device.id": field("keyword", "its id"),
  "midotrace.device.name": field("keyword", "its name"),
  "midotrace.withheld": field("boolean", "true: steps on devices of others stand here, and are not shown"),
  "midotrace.step": field("opaque", "the step with all its fields, as REST shows it"),
  "midotrace.steps_version": field("long", "the version of the steps"),
  "midotrace.verdict": field("keyword", "of the flow"),
  "midotrace.completeness": field("keyword", "`complete`, `partial` or `unknown`"),
  "midotrace.missing.host_id": field("keyword", "hosts whose part is missing"),
  "midotrace.missing.reason": field("keyword", "why"),
  "midotrace.revision": field("long", "which telling of the flow this is, from 1"),
  "midotrace.flow": field("opaque", "the whole flow trace, as REST shows it"),
  "midotrace.lost.count": field("long", "how many records were lost"),
  "midotrace.lost.of": field("keyword", "of what: `steps`, `flows` or `segments`"),
} as const satisfies Readonly<Record<string, Field>>;

export type EcsField = keyof typeof ECS_FIELDS;

/** The `mappings` of an index template; fields that are not known are kept and not indexed. */
export function ecsMappings(): Readonly<Record<string, unknown>> {
  const root: Record<string, unknown> = {};
  for (const [path, { type }] of Object.entries(ECS_FIELDS)) {
    const names = path.split(".");
    const leaf = names.pop() ?? "";
    let properties = root;
    for (const name of names) {
      const parent = (properties[name] ??= { properties: {} }) as { properties: Record<string, unknown> };
      properties = parent.properties;
    }
    properties[leaf] = mappingOf(type);
  }
  return { dynamic: false, properties: root };
}

/** Longer words are kept and not indexed: one of them must not make the whole document unwelcome. */
const MAX_KEYWORD = 1_024;

function mappingOf(type: FieldType): Readonly<Record<string, unknown>> {
  if (type === "opaque") return { type: "object", enabled: false };
  if (type === "keyword") return { type, ignore_above: MAX_KEYWORD };
  // An address that is none must not make the document unwelcome either.
  return type === "ip" || type === "long" ? { type, ignore_malformed: true } : { type };
}
