import { createHash } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { isUuid, MidotraceError } from "#core/base";
import type { FastifyRequest } from "fastify";
import { type AgentGate, tokenOf } from "./caller.ts";

/** Host ids by the SHA-256 of a token (hex digits); null: any host's. */
export type AgentTokens = ReadonlyMap<string, string | null>;

/** Shorter ones can be guessed. */
const MIN_TOKEN_LENGTH = 20;

/**
 * Reads the file of `--agent-token`: a token a line, perhaps a blank and the id of the one host that it is for; `#` begins a
 * comment.
 * @throws MidotraceError USAGE naming the line, without the token.
 */
export function parseAgentTokens(text: string, option: string): AgentTokens {
  const tokens = new Map<string, string | null>();
  for (const [i, line] of text.split("\n").entries()) {
    const [token, host, ...more] = line.replace(/#.*$/, "").trim().split(/\s+/);
    if (token === undefined || token === "") continue;
    const wrong = (why: string): MidotraceError => new MidotraceError("USAGE", `${option}: line ${i + 1}: ${why}`);
    if (more.length > 0) throw wrong("more than a token and a host's id");
    if (token.length < MIN_TOKEN_LENGTH)
      throw wrong(`a token has at least ${MIN_TOKEN_LENGTH} characters (\`openssl rand -hex 32\` makes one)`);
    if (host !== undefined && !isUuid(host.toLowerCase()))
      throw wrong("behind the token stands what is no UUID of a host");
    tokens.set(sha256(token), host?.toLowerCase() ?? null);
  }
  if (tokens.size === 0)
    throw new MidotraceError("USAGE", `${option}: there is no token in it, so no agent could deliver`);
  return tokens;
}

export interface AgentCredentials {
  /** As they are now; null: no token is taken. */
  readonly tokens: () => AgentTokens | null;
  /** A client certificate that the TLS layer found good counts. */
  readonly certificates: boolean;
}

/** Agents by their tokens and certificates. */
export function agentGate({ tokens, certificates }: AgentCredentials): AgentGate {
  return {
    hostOf(request) {
      const presented = certificates ? certificateHost(request) : undefined;
      if (presented !== undefined) return presented;
      const token = tokenOf(request);
      const host = token === null ? undefined : tokens()?.get(sha256(token));
      if (host !== undefined) return host;
      const how = [
        ...(tokens() === null ? [] : ["a token that stands in the file of --agent-token"]),
        ...(certificates ? ["a certificate of an authority in --collect-client-ca"] : []),
      ].join(", or ");
      throw new MidotraceError("UNAUTHENTICATED", `only agents deliver here: this one has not shown ${how}`);
    },
  };
}

/** Undefined: no good certificate. Null: a good one, for no host in particular. */
function certificateHost(request: FastifyRequest): string | null | undefined {
  const socket = request.raw.socket as Partial<TLSSocket>;
  if (socket.authorized !== true || socket.getPeerCertificate === undefined) return undefined;
  const { subject } = socket.getPeerCertificate();
  const name = [subject?.CN].flat()[0]?.toLowerCase() ?? "";
  return isUuid(name) ? name : null;
}

const sha256 = (token: string): string => createHash("sha256").update(token).digest("hex");
