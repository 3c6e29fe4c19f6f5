import { ERRORS, type ErrorCode } from "#core/base";
import * as z from "zod";
import { STREAM_EVENTS } from "./dto-results.ts";
import { ERROR_MEDIA } from "./media.ts";
import { errorsOf, rolesText, statusOf } from "./openapi.ts";
import type { Route } from "./route.ts";
import { allRoutes, type OperationId } from "./routes.ts";

/** The text of docs/reference/rest-api.md; a test compares the file with it. */
export function restReference(): string {
  const groups = Map.groupBy(allRoutes(), ([, route]) => route.tag);
  const sections = [...groups].map(([tag, routes]) => `## ${tag}\n\n${routes.map(routeText).join("\n")}`);
  return `${PREFACE}\n${overview()}\n${sections.join("\n")}\n${streamText()}`;
}

const PREFACE = `# REST API

Printed from \`src/core/api-contract\` by \`node --conditions=source test/docs/print.ts\`; a test compares.
The same as OpenAPI 3.1: \`GET /midonet-api/openapi.json\`; as a page of a server: \`/midonet-api/docs\`. Examples: [rest-examples.md](rest-examples.md). Errors: [errors.md](errors.md), always as
\`{"message", "code", "error", "violations"?}\` of type \`${ERROR_MEDIA}\`.

Requests are read leniently: decimal texts count as numbers, null as the default, unknown and read-only fields are ignored, a
missing \`Accept\` or \`Content-Type\` is fine, a body on GET and DELETE is ignored. 64-bit integers are exact in both directions.
URIs in answers are absolute. \`HEAD\` works wherever \`GET\` does, \`OPTIONS\` answers CORS requests everywhere.

A list of MidoNet's resources is a plain array. With \`?limit=N\` it is at most N objects, with \`?marker=ID\` those after that one;
\`Link: <URI>; rel="next"\` says where the next page is, and is missing on the last. A page is in the order of the ids (rules stay
in the order of their chain), and the marker is the end of an object's URI.
`;

function overview(): string {
  const rows = allRoutes().map(([id, r]) => `| \`${r.method} ${r.path}\` | ${r.summary} | \`${id}\` |`);
  return `| route | what | operation |\n|---|---|---|\n${rows.join("\n")}\n`;
}

function routeText([id, route]: readonly [OperationId, Route]): string {
  const lines = [`### ${id}`, "", `\`${route.method} ${route.path}\` · ${route.summary}`, ""];
  lines.push(`- May: ${rolesText(route.roles)}`);
  const query = fieldNames(route.query);
  if (query.length > 0) lines.push(`- Query: ${query.map(code).join(", ")}`);
  if (route.body !== null) {
    const { maxBytes } = route.body;
    const limit = maxBytes === undefined ? "" : `, at most ${maxBytes / 1024 / 1024} MiB`;
    lines.push(`- Body: ${route.body.media.map(code).join(", ")}${limit}`);
    const fields = fieldNames(route.body.schema);
    if (fields.length > 0) lines.push(`- Fields that count: ${fields.map(code).join(", ")}`);
  }
  const { answer } = route;
  const media = "media" in answer ? ` ${answer.media.map(code).join(", ")}` : "";
  const extra = answer.kind === "created" ? " with `Location`" : "";
  lines.push(`- Answer: ${statusOf(answer)}${extra}${media}`);
  lines.push(`- Errors: ${errorsOf(route).map(errorText).join(", ")}`, "");
  return lines.join("\n");
}

const code = (text: string): string => `\`${text}\``;
const errorText = (c: ErrorCode): string => `${ERRORS[c].status} ${c}`;

function fieldNames(schema: z.ZodType): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function streamText(): string {
  const rows = Object.entries(STREAM_EVENTS).map(([name, what]) => `| \`${name}\` | ${what} |`);
  return `## Events of a stream\n\n| event | what |\n|---|---|\n${rows.join("\n")}\n`;
}

/** The text of docs/reference/errors.md; a test compares the file with it. */
export function errorReference(): string {
  const rows = Object.entries(ERRORS).map(([name, e]) => `| \`${name}\` | ${e.status} | ${e.summary} |`);
  return `${ERROR_PREFACE}\n| code | HTTP | what it says |\n|---|---|---|\n${rows.join("\n")}\n`;
}

const ERROR_PREFACE = `# Errors

Every failure has one code. REST answers with the status of the row and a body of type \`${ERROR_MEDIA}\`:

\`\`\`json
{"message": "bridge is not valid: name: …", "code": 400, "error": "VALIDATION", "violations": [{"property": "name", "message": "…"}]}
\`\`\`

\`code\` is the status, \`error\` the code of the row, \`violations\` (only where there are any) names the fields. The command line prints
the message and exits with 1 (2 for \`USAGE\`). Where a body would not be allowed, as for \`HEAD\`, only the status is sent.
`;
