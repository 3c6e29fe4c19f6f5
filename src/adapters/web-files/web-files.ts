import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Where `npm run build:web` puts the web UI: beside `dist/` and `src/`, in a checkout and in a package. */
export const WEB_FILES = fileURLToPath(new URL("../../../dist-web", import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".md": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Below this, compressing saves no packet. */
const WORTH_COMPRESSING_BYTES = 1_400;

export interface WebFile {
  readonly bytes: Uint8Array;
  /** Null: not worth it. */
  readonly gzip: Uint8Array | null;
  /** Media type. */
  readonly type: string;
  /** Entity tag (RFC 9110 §8.8.3), quotes included. */
  readonly etag: string;
  /** Its name changes with its content. */
  readonly immutable: boolean;
}

/** The files of a built web UI, in memory: what is not among them when it is opened does not exist. */
export class WebFiles {
  private readonly files: ReadonlyMap<string, WebFile>;

  constructor(files: ReadonlyMap<string, WebFile>) {
    this.files = files;
  }

  /** @param path as in a URL, "/assets/x.js". */
  file(path: string): WebFile | null {
    return this.files.get(path) ?? null;
  }

  get paths(): readonly string[] {
    return [...this.files.keys()];
  }
}

/** @returns null when the UI is not built: there is no index.html. */
export function openWebFiles(directory = WEB_FILES): WebFiles | null {
  if (!existsSync(join(directory, "index.html"))) return null;
  const files = new Map<string, WebFile>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const type = TYPES[extname(entry.name)];
    if (!entry.isFile() || type === undefined) continue;
    const file = join(entry.parentPath, entry.name);
    const path = `/${relative(directory, file).split(sep).join("/")}`;
    files.set(path, webFile(readFileSync(file), type, path.startsWith("/assets/")));
  }
  return new WebFiles(files);
}

function webFile(bytes: Buffer, type: string, immutable: boolean): WebFile {
  const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
  const gzip = bytes.length < WORTH_COMPRESSING_BYTES ? null : gzipSync(bytes, { level: 9 });
  return { bytes, gzip, type, etag, immutable };
}
