/**
 * HTTP as MidoNet's Python clients write it, on a bare socket: one connection per request, httplib2's header lines, a body
 * with every request. Nothing of Node's HTTP is in between, so that what is sent is what a test says.
 */
import { connect } from "node:net";
import { gunzipSync } from "node:zlib";
import { parseExactJson } from "#core/api-contract";

export interface WireRequest {
  readonly method: string;
  /** Absolute, as the client has it. */
  readonly uri: string;
  /** Header lines beside those that httplib2 adds, in this order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

export interface WireReply {
  readonly status: number;
  /** Lower-case names; several lines of one name joined by ", ", as httplib2 does it. */
  readonly headers: ReadonlyMap<string, string>;
  readonly text: string;
  readonly json: unknown;
}

/** The bytes of a request as Python's http.client sends them for httplib2. */
export function requestText({ method, uri, headers, body }: WireRequest): string {
  const { host, pathname, search } = new URL(uri);
  // The client does not escape what it asks for, and a template's braces are gone by now.
  const path = uri.slice(uri.indexOf(host) + host.length) || pathname + search;
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers.map(([name, value]) => `${name.toLowerCase()}: ${value}`),
    "user-agent: Python-httplib2/0.20.4 (gzip)",
    "accept-encoding: gzip, deflate",
  ];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** Sends on a connection of its own, and closes it when the answer is whole. */
export function exchange(request: WireRequest): Promise<WireReply> {
  const { hostname, port } = new URL(request.uri);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const chunks: Buffer[] = [];
    socket.on("error", reject);
    socket.on("connect", () => socket.write(requestText(request)));
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      const reply = parseReply(Buffer.concat(chunks));
      if (reply === null) return;
      socket.destroy();
      resolve(reply);
    });
    socket.on("end", () => reject(new Error(`the answer ends early: ${Buffer.concat(chunks).toString("latin1")}`)));
  });
}

/** Null while something is missing. */
function parseReply(bytes: Buffer): WireReply | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [first = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const [name, value] = [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const body = bodyOf(bytes.subarray(end + 4), status, headers);
  if (body === null) return null;
  const text = (headers.get("content-encoding") === "gzip" ? gunzipSync(body) : body).toString("utf8");
  return { status, headers, text, json: text === "" ? null : parseExactJson(text) };
}

function bodyOf(rest: Buffer, status: number, headers: ReadonlyMap<string, string>): Buffer | null {
  if (status === 204 || status === 304) return Buffer.alloc(0);
  if (headers.get("transfer-encoding") === "chunked") return unchunked(rest);
  const length = Number(headers.get("content-length") ?? "0");
  return rest.length < length ? null : rest.subarray(0, length);
}

function unchunked(rest: Buffer): Buffer | null {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = rest.indexOf("\r\n", at);
    if (line < 0) return null;
    const size = Number.parseInt(rest.subarray(at, line).toString("latin1"), 16);
    if (rest.length < line + 2 + size + 2) return null;
    if (size === 0) return Buffer.concat(parts);
    parts.push(rest.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}

/** `json.dumps`: blanks after commas and colons, everything beyond ASCII escaped, integers of any size. */
export function pythonJson(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "bigint" || typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string")
    return JSON.stringify(value).replaceAll(
      /[\u0080-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  return `{${Object.entries(value)
    .map(([key, v]) => `${pythonJson(key)}: ${pythonJson(v)}`)
    .join(", ")}}`;
}
