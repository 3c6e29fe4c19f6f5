import { BASE_PATH, parseExactJson, stringifyExactJson } from "#core/api-contract";
import { MidotraceError } from "#core/base";
import { failureOf, unreachableText } from "./failures.ts";

type Method = "GET" | "POST" | "PUT" | "DELETE";

/** A server's REST API. Integers are exact: one that a double cannot hold is a bigint, in both directions. */
export class ApiClient {
  /** "http://127.0.0.1:8181/midonet-api", without a trailing slash. */
  readonly base: string;
  private readonly token: string | null;
  private readonly stop: AbortSignal;

  /**
   * `server`: with or without the path of the API. `stop` ends whatever is under way.
   * @throws MidotraceError USAGE when it is no http URL.
   */
  constructor(server: string, token: string | null, stop: AbortSignal) {
    const url = URL.parse(server);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new MidotraceError("USAGE", `--api is a URL such as http://127.0.0.1:8181, not ${JSON.stringify(server)}`);
    }
    const path = url.pathname.replace(/\/+$/, "");
    this.base = `${url.origin}${path.endsWith(BASE_PATH) ? path : `${path}${BASE_PATH}`}`;
    this.token = token;
    this.stop = stop;
  }

  get(path: string): Promise<unknown> {
    return this.call("GET", path);
  }

  /** @returns the list that stands there. @throws MidotraceError INTERNAL when it is none. */
  async list(path: string): Promise<readonly Json[]> {
    const body = await this.get(path);
    if (Array.isArray(body)) return body as Json[];
    throw new MidotraceError("INTERNAL", `${this.base}${path} answered with something that is no list`);
  }

  async object(path: string): Promise<Json> {
    return objectOf(await this.get(path), `${this.base}${path}`);
  }

  /** The created object: from the answer's body, or read at its Location. */
  async create(path: string, body: unknown): Promise<Json> {
    const response = await this.send("POST", path, body);
    const text = await response.text();
    if (text.trim() !== "") return objectOf(parseExactJson(text), path);
    const location = response.headers.get("location");
    if (location === null) return {};
    // Relative or absolute, also through a proxy under another name: only its path counts.
    const { pathname } = new URL(location, this.base);
    return this.object(pathname.slice(pathname.indexOf(BASE_PATH) + BASE_PATH.length));
  }

  put(path: string, body: unknown): Promise<unknown> {
    return this.call("PUT", path, body);
  }

  delete(path: string): Promise<unknown> {
    return this.call("DELETE", path);
  }

  post(path: string, body: unknown): Promise<unknown> {
    return this.call("POST", path, body);
  }

  /** @returns the server's answer to a login: `key` and `expires`. @throws MidotraceError UNAUTHENTICATED */
  async signIn(user: string, password: string, project: string | null): Promise<Json> {
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    const scope: Record<string, string> = project === null ? {} : { "x-auth-project": project };
    const response = await this.send("POST", "/login", undefined, { authorization, ...scope });
    return objectOf(parseExactJson(await response.text()), `${this.base}/login`);
  }

  /** The open stream of server-sent events. */
  async events(path: string, lastEventId: string | null): Promise<ReadableStream<Uint8Array>> {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (lastEventId !== null) headers["last-event-id"] = lastEventId;
    const response = await this.send("GET", path, undefined, headers);
    if (response.body === null) throw new MidotraceError("INTERNAL", `${this.base}${path} answered without a stream`);
    return response.body;
  }

  private async call(method: Method, path: string, body?: unknown): Promise<unknown> {
    const text = await (await this.send(method, path, body)).text();
    return text.trim() === "" ? null : parseExactJson(text);
  }

  private async send(
    method: Method,
    path: string,
    body?: unknown,
    extra: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json", ...extra };
    if (this.token !== null) headers["x-auth-token"] = this.token;
    if (body !== undefined) headers["content-type"] = "application/json";
    let response: Response;
    try {
      response = await fetch(`${this.base}${path}`, {
        method,
        headers,
        signal: this.stop,
        ...(body === undefined ? {} : { body: stringifyExactJson(body) }),
      });
    } catch (cause) {
      if (this.stop.aborted) throw cause;
      throw new MidotraceError("STORE_UNAVAILABLE", unreachableText(this.base, cause), [], { cause });
    }
    if (!response.ok)
      throw failureOf(response, await response.text(), { base: this.base, path, signedIn: this.token !== null });
    return response;
  }
}

/** An object of the REST API; what it holds is looked at where it is used. */
export type Json = Readonly<Record<string, unknown>>;

export function objectOf(value: unknown, where: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new MidotraceError("INTERNAL", `${where} answered with something that is no object`);
}

/** A text field; "" when it is absent or null. */
export function textOf(object: Json, field: string): string {
  const value = object[field];
  return typeof value === "string" ? value : "";
}
