import { utf8Encode } from "#core/base";
import { field, isObject, Malformed, preview } from "./malformed.ts";

/** JSON-RPC 1.0 as OVSDB speaks it (RFC 7047 §4): the three kinds of message. */
export type RpcMessage =
  | { readonly kind: "request"; readonly id: unknown; readonly method: string; readonly params: readonly unknown[] }
  | { readonly kind: "notification"; readonly method: string; readonly params: readonly unknown[] }
  /** `error` is null in a good reply. */
  | { readonly kind: "reply"; readonly id: unknown; readonly result: unknown; readonly error: unknown };

/** @param text one whole JSON object. */
export function decodeRpc(text: string): RpcMessage | Malformed {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return new Malformed(`a message is not JSON (${error instanceof Error ? error.message : "?"})`);
  }
  if (!isObject(json)) return new Malformed(`a message is ${preview(json)}`);
  const id = field(json, "id");
  const method = field(json, "method");
  if (method !== undefined) {
    const params = field(json, "params");
    if (typeof method !== "string") return new Malformed(`a method is ${preview(method)}, not a name`);
    if (!Array.isArray(params))
      return new Malformed(`params of ${preview(method)} are ${preview(params)}, not an array`);
    return id === null || id === undefined
      ? { kind: "notification", method, params }
      : { kind: "request", id, method, params };
  }
  const result = field(json, "result");
  const error = field(json, "error");
  if (id === null || id === undefined || (result === undefined && error === undefined))
    return new Malformed(`${preview(json)} is neither request nor reply`);
  return { kind: "reply", id, result: result ?? null, error: error ?? null };
}

/** `params` must be made of JSON values only. */
export function encodeRequest(id: number, method: string, params: readonly unknown[]): Uint8Array {
  return utf8Encode(JSON.stringify({ id, method, params }));
}

export function encodeReply(id: unknown, result: unknown): Uint8Array | Malformed {
  try {
    return utf8Encode(JSON.stringify({ id, result, error: null }));
  } catch {
    return new Malformed("an echo is nested too deeply to be answered");
  }
}

/** A server's error object or string, in one line. */
export function describeError(error: unknown): string {
  if (!isObject(error)) return typeof error === "string" ? error : preview(error);
  const what = field(error, "error");
  const details = field(error, "details");
  const head = typeof what === "string" ? what : preview(error);
  return typeof details === "string" ? `${head}: ${details}` : head;
}
