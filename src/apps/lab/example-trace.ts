import { MidotraceError } from "#core/base";

/** A trace request as the lab asks for it. */
export interface WantedTrace {
  readonly name: string;
  readonly deviceType: "ROUTER" | "PORT";
  readonly deviceId: string;
  readonly condition: string;
}

/**
 * Creates a trace request and enables it, as every other user of the API would: POST, then PUT. One of the same name
 * that is there already (a lab with --data) is used again.
 * @returns its id. @throws MidotraceError INTERNAL with the server's words when it is refused.
 */
export async function enableTrace(url: string, wanted: WantedTrace): Promise<string> {
  const traces = `${url}/midonet-api/traces`;
  const known = (await (await call("GET", traces)).json()) as { name: string; deviceId: string; uri: string }[];
  const old = known.find((t) => t.name === wanted.name && t.deviceId === wanted.deviceId);
  const location = old?.uri ?? (await call("POST", traces, JSON.stringify(wanted))).headers.get("location");
  if (location === null) throw new MidotraceError("INTERNAL", `${traces} did not say where the new trace request is`);
  // What a PUT leaves out is not touched; `limit` would not survive JSON.parse.
  await call("PUT", location, JSON.stringify({ enabled: true }));
  return location.slice(location.lastIndexOf("/") + 1);
}

async function call(method: "GET" | "POST" | "PUT", url: string, body?: string): Promise<Response> {
  const response = await fetch(url, {
    method,
    headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body }),
  });
  if (response.ok) return response;
  throw new MidotraceError(
    "INTERNAL",
    `${method} ${url} was answered with ${response.status}: ${await response.text()}`,
  );
}
