import type { Aggregate, FlowRecord, PortDescription } from "./replies.ts";

interface Common {
  readonly name: string;
  deadlineMs: number;
}

export type Request =
  | (Common & { readonly kind: "barrier"; readonly done: () => void })
  | (Common & { readonly kind: "flows"; readonly each: (record: FlowRecord) => void; readonly done: () => void })
  | (Common & { readonly kind: "aggregate"; readonly done: (sum: Aggregate) => void })
  | (Common & {
      readonly kind: "ports";
      readonly list: PortDescription[];
      readonly done: (ports: readonly PortDescription[]) => void;
    });

type Kind = Request["kind"];

/** Requests whose replies have not come, by xid. */
export class PendingRequests {
  private readonly byXid = new Map<number, Request>();

  add(xid: number, request: Request): void {
    this.byXid.set(xid, request);
  }

  get(xid: number): Request | null {
    return this.byXid.get(xid) ?? null;
  }

  /** The request with this xid, when it is of this kind; it is pending no longer then. */
  take<K extends Kind>(xid: number, kind: K): Extract<Request, { kind: K }> | null {
    const request = this.byXid.get(xid);
    if (request?.kind !== kind) return null;
    this.byXid.delete(xid);
    return request as Extract<Request, { kind: K }>;
  }

  delete(xid: number): void {
    this.byXid.delete(xid);
  }

  name(xid: number): string | null {
    return this.byXid.get(xid)?.name ?? null;
  }

  /** A request whose time is over, by name. */
  overdue(nowMs: number): string | null {
    for (const request of this.byXid.values()) if (request.deadlineMs < nowMs) return request.name;
    return null;
  }

  clear(): void {
    this.byXid.clear();
  }
}
