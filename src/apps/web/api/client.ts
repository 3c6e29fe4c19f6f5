import { parseExactJson } from "#core/api-contract";

/** What the API answered when it did not do what it was asked for. */
export class ApiError extends Error {
  /** 0: nobody answered. */
  readonly status: number;
  readonly violations: readonly { readonly property: string; readonly message: string }[];

  constructor(status: number, message: string, violations: ApiError["violations"] = []) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.violations = violations;
  }
}

export const BASE = "/midonet-api";
const TOKEN = "midotrace-token";

/** The token lives as long as the tab, is sent in a header, and stands in no URL. */
export const token = {
  get: (): string | null => sessionStorage.getItem(TOKEN),
  set: (value: string): void => sessionStorage.setItem(TOKEN, value),
  clear: (): void => sessionStorage.removeItem(TOKEN),
};

/** Called when the server does not know (any more) who asks. */
let signedOut: () => void = () => undefined;
export function onSignedOut(listener: () => void): void {
  signedOut = listener;
}

export interface Ask {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Integers beyond 2^53 stay exact, as bigint; slower. */
  readonly exact?: boolean;
}

/** One request with the token. @throws ApiError; what `signal` says when it was aborted. */
export async function send(path: string, ask: Ask = {}): Promise<Response> {
  const { method = "GET", body, headers, signal } = ask;
  const key = token.get();
  let response: Response;
  try {
    response = await fetch(`${BASE}${path}`, {
      method,
      headers: {
        accept: "application/json",
        ...(key === null ? {} : { "x-auth-token": key }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new ApiError(0, "the server does not answer");
  }
  if (response.ok) return response;
  const failure = await failureOf(response);
  if (failure.status === 401 && !path.startsWith("/login")) signedOut();
  throw failure;
}

/** @throws ApiError */
export async function ask<T>(path: string, options: Ask = {}): Promise<T> {
  const response = await send(path, options);
  const text = await response.text();
  if (text === "") return undefined as T;
  return (options.exact === true ? parseExactJson(text) : JSON.parse(text)) as T;
}

async function failureOf(response: Response): Promise<ApiError> {
  const { status } = response;
  try {
    const body = JSON.parse(await response.text()) as { message?: string | null; violations?: ApiError["violations"] };
    return new ApiError(status, body.message ?? `the server answered ${status}`, body.violations ?? []);
  } catch {
    return new ApiError(status, `the server answered ${status}`);
  }
}

/** Whether an endpoint is one that this server does not offer (to this viewer). */
export const isNotOffered = (error: unknown): boolean =>
  error instanceof ApiError && (error.status === 404 || error.status === 405 || error.status === 403);
