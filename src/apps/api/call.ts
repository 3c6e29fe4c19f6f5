import type { Clock, MidotraceError, Random, Scheduler } from "#core/base";
import type { Body, Links, OperationId, Params, Query, RouteOf } from "#core/api-contract";
import type { Identity, IdentityProvider } from "#core/identity";
import type { Nsdb } from "#core/nsdb";
import type { TraceStore } from "#core/tracing";
import type { Collector } from "./collector.ts";
import type { Sight } from "./sight.ts";
import type { TenantLimits } from "./limits.ts";
import type { Seal } from "./seal.ts";

/** One line of the server's log. `info`: for who runs it; `error`: a defect of ours. */
export interface ApiLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** What handlers work with. */
export interface Deps {
  readonly nsdb: Nsdb;
  readonly traceStore: TraceStore;
  readonly collector: Collector;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  /** Version of the program, for the OpenAPI document. */
  readonly version: string;
  /** Events a stream may be behind before it is cut. */
  readonly streamQueue: number;
  readonly streams: Streams;
  readonly identity: IdentityProvider;
  readonly sight: Sight;
  readonly tenantLimits: TenantLimits;
  /** Of cursors and event ids that tenants get. */
  readonly seal: Seal;
  /** What the server still waits for; empty when it is ready. */
  readonly waitingFor: () => readonly string[];
  readonly metrics: () => Promise<string>;
}

/** Open event streams, so that they can be ended from outside. */
export interface Streams {
  readonly size: number;
  add(traceId: string, tenantId: string, end: (reason: string) => void): () => void;
  /** Streams that the tenant has open. */
  of(tenantId: string): number;
  end(traceId: string | null, reason: string): void;
}

/** One request, read and checked. */
export interface Call<Id extends OperationId = OperationId> {
  readonly params: Params<RouteOf<Id>>;
  readonly query: Query<RouteOf<Id>>;
  readonly body: Body<RouteOf<Id>>;
  readonly links: Links;
  /** The media type of the answer, as negotiated. */
  readonly media: string;
  /** Who asks; every read path shows only what the viewer may see. What the route declares is enforced before. */
  readonly viewer: Identity;
  /** Value of a request header. */
  readonly header: (name: string) => string | undefined;
}

export type Result =
  | {
      readonly kind: "json";
      readonly value: unknown;
      /** Of a list: it is a page already, and whether more come after it. */
      readonly more?: boolean;
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      /** Of a request without a token: who it turned out to be of. */
      readonly viewer?: Identity;
    }
  /** `value`, if any, is the body; clients go by the location. */
  | { readonly kind: "created"; readonly location: string; readonly value?: unknown }
  | { readonly kind: "empty" }
  | { readonly kind: "text"; readonly text: string }
  /** `fileName`: what a browser saves it as; letters, digits, dots and dashes. */
  | { readonly kind: "binary"; readonly bytes: Uint8Array; readonly fileName: string }
  /** The handler takes the connection; what it returns ends the stream, and says why. */
  | { readonly kind: "events"; readonly open: (sink: StreamSink) => (reason: string) => void };

/** One that is answered, and done. */
export type PlainResult = Exclude<Result, { readonly kind: "events" }>;

/** Where a stream of server-sent events goes. */
export interface StreamSink {
  /** False: the client is behind; `onDrain` is called once when it has caught up. */
  write(text: string): boolean;
  onDrain(listener: () => void): void;
  onClose(listener: () => void): void;
  /** After what was written has gone out. */
  end(): void;
  /** At once. */
  destroy(): void;
}

export type Handler<Id extends OperationId> = (call: Call<Id>) => Promise<Result> | Result;
export type Handlers<Ids extends OperationId = OperationId> = { readonly [Id in Ids]: Handler<Id> };

export const json = (value: unknown, status?: number): Extract<Result, { readonly kind: "json" }> =>
  status === undefined ? { kind: "json", value } : { kind: "json", value, status };
export const created = (location: string, value?: unknown): Result => ({ kind: "created", location, value });
export const EMPTY: Extract<Result, { readonly kind: "empty" }> = { kind: "empty" };

/** Runs work that may find its object missing: for the deletions that MidoNet answers with 204 then, too. */
export async function ignoringMissing(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if ((error as Partial<MidotraceError>).code !== "NOT_FOUND") throw error;
  }
}
