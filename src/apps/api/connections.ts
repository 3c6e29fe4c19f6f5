import type { Server } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { FastifyHttpOptions } from "fastify";
import { MidotraceError } from "#core/base";
import { replyFor } from "./http-error.ts";
import type { ServerLimits } from "./limits.ts";

/** How often connections are looked at for overdue requests, ms. */
const CHECK_MS = 2_000;

/** What fastify is to be told of the limits of connections. */
export function connectionOptions(limits: ServerLimits): FastifyHttpOptions<Server> {
  return {
    http: parserOptions(limits),
    // Before there is a request: the parser refused what came, or it did not come in time.
    clientErrorHandler: (error, socket) => {
      refuse(socket, errorOf(error, limits));
    },
  };
}

/** What has to be said when a server is made, with TLS or without. */
export const parserOptions = ({ headerBytes }: ServerLimits) => ({
  maxHeaderSize: headerBytes,
  connectionsCheckingInterval: CHECK_MS,
});

/** Also where the server is made elsewhere (TLS). */
export function limitConnections(server: Server, limits: ServerLimits): void {
  server.maxConnections = limits.connections;
  server.headersTimeout = limits.headersTimeoutMs;
  server.requestTimeout = limits.requestTimeoutMs;
  server.keepAliveTimeout = limits.keepAliveMs;
}

/** @throws MidotraceError URI_TOO_LONG */
export function needShortUrl(url: string, { urlLength }: ServerLimits): void {
  if (url.length > urlLength)
    throw new MidotraceError("URI_TOO_LONG", `path and query have ${url.length} characters, more than ${urlLength}`);
}

function errorOf(error: Error & { readonly code?: string }, limits: ServerLimits): MidotraceError {
  if (error.code === "HPE_HEADER_OVERFLOW")
    return new MidotraceError("HEADERS_TOO_LARGE", `the headers are longer than ${limits.headerBytes} bytes`);
  if (error.code !== "ERR_HTTP_REQUEST_TIMEOUT")
    return new MidotraceError("MALFORMED_REQUEST", `this is no HTTP/1.1 request: ${error.message}`);
  const { headersTimeoutMs, requestTimeoutMs } = limits;
  const message = `the headers did not come within ${headersTimeoutMs / 1_000} s, or the request within ${requestTimeoutMs / 1_000} s`;
  return new MidotraceError("REQUEST_TIMEOUT", message);
}

/** True until the handshake is done; not in the types of Node. */
type Handshaking = TLSSocket & { readonly secureConnecting?: boolean };

function refuse(socket: Socket, error: MidotraceError): void {
  // Nobody can be told anything while there is no TLS yet, and an answer would wait for it for ever.
  const mute = socket instanceof TLSSocket && (socket as Handshaking).secureConnecting === true;
  if (mute || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, media, body } = replyFor(error);
  const head = `HTTP/1.1 ${status} ${error.code}\r\ncontent-type: ${media}\r\ncontent-length: ${Buffer.byteLength(body)}`;
  socket.end(`${head}\r\nconnection: close\r\n\r\n${body}`);
}
