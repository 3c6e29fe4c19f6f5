import { MidotraceError } from "#core/base";
import type { FastifyRequest } from "fastify";

/** The token that a request comes with: of `X-Auth-Token`, else of `Authorization: Bearer`; null when there is none. */
export function tokenOf(request: FastifyRequest): string | null {
  const header = request.headers["x-auth-token"];
  const token = (typeof header === "string" ? header : header?.[0])?.trim() ?? "";
  if (token !== "") return token;
  return /^Bearer +(\S+)$/i.exec(request.headers.authorization?.trim() ?? "")?.[1] ?? null;
}

/** Who knows the agents. */
export interface AgentGate {
  /**
   * The host that the request's credential is for; null: for any.
   * @throws MidotraceError UNAUTHENTICATED
   */
  hostOf(request: FastifyRequest): string | null;
}

/** Where nobody is asked who they are. */
export const OPEN_GATE: AgentGate = { hostOf: () => null };

/** Where agents have no credentials: what says that it comes from one does not. */
export const CLOSED_GATE: AgentGate = {
  hostOf: () => {
    throw new MidotraceError("UNAUTHENTICATED", "agents have no credentials here: give the API server --agent-token");
  },
};

/** @throws MidotraceError FORBIDDEN when an agent speaks for another host than its credential is for. */
export function needHost(hostId: string | null, body: unknown): void {
  if (hostId === null) return;
  const said = (body as { readonly hostId?: unknown } | null)?.hostId;
  if (said !== hostId)
    throw new MidotraceError("FORBIDDEN", `hostId: this agent's credential is for host ${hostId} and no other`);
}
