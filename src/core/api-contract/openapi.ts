import { ERRORS, type ErrorCode } from "#core/base";
import * as z from "zod";
import { EXAMPLES } from "./examples.ts";
import { ERROR_MEDIA, essence } from "./media.ts";
import { ACCESS_ERRORS, type Answer, changesNetwork, COMMON_ERRORS, type Roles, type Route } from "./route.ts";
import { allRoutes, type OperationId } from "./routes.ts";

type Json = Readonly<Record<string, unknown>>;

/** The error body of every route (midonet-rest section 4, and our `error`). */
export const errorAnswer = z.object({
  message: z.nullable(z.string()),
  code: z.int().describe("the HTTP status"),
  error: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
  violations: z.array(z.object({ property: z.string(), message: z.string() })).optional(),
});

function schemaOf(schema: z.ZodType, io: "input" | "output"): Json {
  const {
    $schema: _,
    "~standard": __,
    ...rest
  } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Record<string, unknown>;
  return rest;
}

/** Schemas shared by name: what several routes and media types say stands in the document once. */
class Components {
  readonly schemas: Record<string, Json> = {};
  private readonly byText = new Map<string, string>();

  ref(name: string, schema: Json): Json {
    const text = JSON.stringify(schema);
    let known = this.byText.get(text);
    if (known === undefined) {
      known = name;
      this.byText.set(text, known);
      this.schemas[known] = schema;
    }
    return { $ref: `#/components/schemas/${known}` };
  }
}

function content(media: readonly string[], schema: Json): Json {
  return Object.fromEntries(media.map((type) => [type, { schema }]));
}

function parameters(route: Route): Json[] {
  const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map((m) => ({
    name: m[1],
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const query = schemaOf(route.query, "input")["properties"] as Readonly<Record<string, Json>> | undefined;
  const inQuery = Object.entries(query ?? {}).map(([name, schema]) => ({ name, in: "query", schema }));
  const resume = { name: "Last-Event-ID", in: "header", schema: { type: "integer" } };
  return [...inPath, ...inQuery, ...(route.answer.kind === "events" ? [resume] : [])];
}

/** The status of a route's success. */
export function statusOf(answer: Answer): number {
  switch (answer.kind) {
    case "created":
      return 201;
    case "empty":
      return answer.status;
    case "body":
    case "text":
    case "binary":
    case "events":
      return 200;
  }
}

function success(id: string, { answer, paging }: Route, components: Components): Json {
  switch (answer.kind) {
    case "body": {
      const schema = components.ref(`${id}Answer`, schemaOf(answer.schema, "output"));
      const link = { description: 'where the next page is: `<URI>; rel="next"`', schema: { type: "string" } };
      const headers = paging === undefined ? {} : { headers: { Link: link } };
      return { description: "OK", ...headers, content: content(answer.media, schema) };
    }
    case "created":
      return {
        description: "Created",
        headers: { Location: { required: true, schema: { type: "string", format: "uri" } } },
      };
    case "empty":
      return { description: "Done" };
    case "binary":
      return { description: "OK", content: Object.fromEntries(answer.media.map((type) => [type, {}])) };
    case "text":
    case "events":
      return { description: "OK", content: content(answer.media.map(essence), { type: "string" }) };
  }
}

/** The error codes a route may answer with, in the order of the error table. */
export function errorsOf(route: Route): ErrorCode[] {
  const access = "anonymous" in route.roles ? [] : ACCESS_ERRORS;
  const readOnly: ErrorCode[] = changesNetwork(route) ? ["READ_ONLY"] : [];
  const codes = new Set([...route.errors, ...COMMON_ERRORS, ...access, ...readOnly]);
  return (Object.keys(ERRORS) as ErrorCode[]).filter((code) => codes.has(code));
}

function failures(route: Route): Json {
  const byStatus = Map.groupBy(errorsOf(route), (code) => ERRORS[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.map((c) => `${c}: ${ERRORS[c].summary}`).join("; "),
        content: { [ERROR_MEDIA]: { schema: { $ref: "#/components/schemas/Error" } } },
      },
    ]),
  );
}

function requestBody(id: string, route: Route, components: Components): Json {
  if (route.body === null) return {};
  const schema = components.ref(`${id}Body`, schemaOf(route.body.schema, "input"));
  const shown = EXAMPLES[id as OperationId]?.body;
  const media = Object.entries(content(route.body.media, schema)).map(([type, entry]) => [
    type,
    shown === undefined ? entry : { ...(entry as Json), example: shown },
  ]);
  return { requestBody: { required: true, content: Object.fromEntries(media) } };
}

/** Who may use the route, in words. */
export function rolesText(roles: Roles): string {
  if ("anonymous" in roles) return "anybody, without credentials";
  if ("agent" in roles) return "agents, by their own credential";
  const words = ["admin"];
  for (const role of ["tenant_admin", "tenant_user"] as const) {
    if (roles[role] === "all") words.push(role);
    else if (roles[role] === "own" && "owner" in roles) words.push(`${role} (own: ${roles.owner})`);
  }
  return words.join(", ");
}

/** @returns the OpenAPI 3.1 document of all routes, as plain JSON. */
export function openApiDocument(info: { readonly version: string; readonly server: string }): Json {
  const paths: Record<string, Record<string, unknown>> = {};
  const components = new Components();
  components.ref("Error", schemaOf(errorAnswer, "output"));
  for (const [operationId, route] of allRoutes()) {
    const operations = (paths[route.path] ??= {});
    operations[route.method.toLowerCase()] = {
      operationId,
      tags: [route.tag],
      summary: route.summary,
      "x-roles": route.roles,
      ...("anonymous" in route.roles ? { security: [] } : {}),
      parameters: parameters(route),
      ...requestBody(operationId, route, components),
      responses: {
        [String(statusOf(route.answer))]: success(operationId, route, components),
        ...failures(route),
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Midotrace", version: info.version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: info.server }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: "apiKey", in: "header", name: "X-Auth-Token" } },
      schemas: components.schemas,
    },
  };
}
