import { ERRORS } from "#core/base";
import * as z from "zod";
import { EXAMPLES } from "./examples.ts";
import { errorsOf, rolesText, statusOf } from "./openapi.ts";
import type { Route } from "./route.ts";
import { allRoutes, type OperationId } from "./routes.ts";

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const code = (text: string): string => `<code>${escape(text)}</code>`;
const anchor = (text: string): string => escape(text.replaceAll(" ", "-"));

const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 0 1rem 4rem; }
nav ul { columns: 3 14rem; padding-left: 1.2rem; }
h2 { border-bottom: 1px solid #8888; margin-top: 3rem; padding-bottom: .2rem; }
summary { cursor: pointer; padding: .3rem 0; }
summary b { display: inline-block; font-family: ui-monospace, monospace; min-width: 4.5rem; }
pre { background: #8881; overflow-x: auto; padding: .6rem; }
table { border-collapse: collapse; } td, th { border: 1px solid #8886; padding: .2rem .6rem; text-align: left; }
`;

/** Every operation of the API as one HTML page: no script, nothing from elsewhere. */
export function docsPage(version: string): string {
  const groups = Map.groupBy(allRoutes(), ([, route]) => route.tag);
  const links = [...groups.keys()].map((tag) => `<li><a href="#${anchor(tag)}">${escape(tag)}</a></li>`).join("");
  const sections = [...groups].map(
    ([tag, routes]) => `<h2 id="${anchor(tag)}">${escape(tag)}</h2>\n${routes.map(operation).join("\n")}`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Midotrace REST API</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Midotrace REST API</h1>
<p>Version ${escape(version)}. The same as <a href="/midonet-api/openapi.json">OpenAPI 3.1</a>.</p>
<nav><ul>${links}<li><a href="#errors">errors</a></li></ul></nav>
${sections.join("\n")}
<h2 id="errors">errors</h2>
<table><tr><th>code</th><th>HTTP</th><th>what it says</th></tr>
${Object.entries(ERRORS)
  .map(([name, e]) => `<tr><td>${code(name)}</td><td>${e.status}</td><td>${escape(e.summary)}</td></tr>`)
  .join("\n")}
</table>
</body>
</html>
`;
}

function operation([id, route]: readonly [OperationId, Route]): string {
  const rows: string[] = [`May: ${escape(rolesText(route.roles))}`];
  const query = namesOf(route.query);
  if (query.length > 0) rows.push(`Query: ${query.map(code).join(", ")}`);
  if (route.body !== null) {
    rows.push(`Body: ${route.body.media.map(code).join(", ")}`);
    const fields = namesOf(route.body.schema);
    if (fields.length > 0) rows.push(`Fields that count: ${fields.map(code).join(", ")}`);
  }
  const media = "media" in route.answer ? ` ${route.answer.media.map(code).join(", ")}` : "";
  rows.push(`Answer: ${statusOf(route.answer)}${media}`);
  rows.push(
    `Errors: ${errorsOf(route)
      .map((c) => `${ERRORS[c].status} ${code(c)}`)
      .join(", ")}`,
  );
  return `<details id="${id}"><summary><b>${route.method}</b> ${code(route.path)} ${escape(route.summary)}</summary>
<ul>${rows.map((row) => `<li>${row}</li>`).join("")}</ul>
${example(id, route)}</details>`;
}

function example(id: OperationId, route: Route): string {
  const shown = EXAMPLES[id];
  if (shown === undefined) return "";
  const body = shown.body === undefined ? "" : `\n\n${JSON.stringify(shown.body, null, 2)}`;
  return `<pre>${escape(`${route.method} ${shown.path}${body}`)}</pre>`;
}

function namesOf(schema: z.ZodType): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}
