import type { Streams } from "./call.ts";

/** The open event streams of one server. */
export class OpenStreams implements Streams {
  private readonly open = new Map<
    symbol,
    { readonly traceId: string; readonly tenantId: string; readonly end: (reason: string) => void }
  >();

  get size(): number {
    return this.open.size;
  }

  add(traceId: string, tenantId: string, end: (reason: string) => void): () => void {
    const key = Symbol(traceId);
    this.open.set(key, { traceId, tenantId, end });
    return () => this.open.delete(key);
  }

  of(tenantId: string): number {
    return [...this.open.values()].filter((s) => s.tenantId === tenantId).length;
  }

  /** Trace requests that somebody listens to. */
  traceIds(): Set<string> {
    return new Set([...this.open.values()].map((s) => s.traceId));
  }

  /** @param traceId null: all. */
  end(traceId: string | null, reason: string): void {
    for (const stream of this.open.values()) if (traceId === null || stream.traceId === traceId) stream.end(reason);
  }
}
