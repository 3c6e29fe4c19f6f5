import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

/** One file of the web UI. */
export interface SiteFile {
  readonly bytes: Uint8Array;
  readonly gzip: Uint8Array | null;
  readonly type: string;
  readonly etag: string;
  /** May be kept for ever: another content has another name. */
  readonly immutable: boolean;
}

/** The built web UI; "/index.html" is one of its paths. */
export interface WebSite {
  readonly paths: readonly string[];
  file(path: string): SiteFile | null;
}

/** First segments of the UI's own addresses: each is answered with the page, which knows the rest. */
const VIEWS = ["traces", "hosts"] as const;

/** The page talks to this server and to nobody else, runs only what was built, and is shown in nobody's frame. */
const PAGE_HEADERS = {
  "content-security-policy": [
    "default-src 'self'",
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
} as const;

const FILE_HEADERS = { "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" } as const;
const FOR_EVER = "public, max-age=31536000, immutable";

/**
 * Serves the web UI: the page under `/` and under the address of each view, so that what is in the address bar can be sent
 * to somebody, and its files. Nobody is asked who they are: the files say nothing of any network.
 */
export function serveSite(app: FastifyInstance, site: WebSite): void {
  const page = site.file("/index.html");
  if (page === null) return;
  const showPage = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
    sendFile(page, request, reply.headers(PAGE_HEADERS));
  app.get("/", { config: { operation: "getHome" } }, showPage);
  for (const view of VIEWS) {
    app.get(`/${view}`, showPage);
    app.get(`/${view}/*`, showPage);
  }
  for (const path of site.paths) {
    const file = site.file(path);
    if (file !== null && file !== page) app.get(path, (request, reply) => sendFile(file, request, reply));
  }
}

function sendFile(file: SiteFile, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  reply.headers({
    ...FILE_HEADERS,
    etag: file.etag,
    "cache-control": file.immutable ? FOR_EVER : "no-cache",
    vary: "Accept-Encoding",
  });
  if (request.headers["if-none-match"]?.includes(file.etag) === true) return reply.code(304).send();
  reply.header("content-type", file.type);
  const zipped = file.gzip !== null && /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
  if (zipped) reply.header("content-encoding", "gzip");
  return reply.send(zipped ? file.gzip : file.bytes);
}
