/** The page under `/`: says what this is. Loads nothing from anywhere. */
export const HOME_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Midotrace</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1rem; }
  code { background: color-mix(in srgb, currentColor 10%, transparent); padding: .1em .3em; border-radius: .2em; }
  li { margin: .3rem 0; }
</style>
</head>
<body>
<h1>Midotrace</h1>
<p>Flow tracing for virtual networks in MidoNet's model: ask for flows to be traced on a bridge, router or port, and get one
hop-by-hop answer per flow, joined from every host it crossed.</p>
<ul>
<li><a href="/midonet-api">/midonet-api</a>: the REST API, as MidoNet's clients know it</li>
<li><a href="/midonet-api/traces">/midonet-api/traces</a>: trace requests</li>
<li><a href="/midonet-api/topology">/midonet-api/topology</a>: the virtual network</li>
<li><a href="/midonet-api/openapi.json">/midonet-api/openapi.json</a>: the API as an OpenAPI 3.1 document</li>
<li><a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a>, <a href="/metrics">/metrics</a>: for machines</li>
</ul>
<p>On the command line: <code>midotrace trace create --router NAME --match "icmp" --enable --follow</code></p>
</body>
</html>
`;
