import { diag, DiagLogLevel } from "@opentelemetry/api";

/**
 * The official exporters tell of a partial success by their diagnostic logger alone, in the same breath in which they call
 * back with success. So it is heard here, and whoever is called back takes it at once.
 */
let heard: unknown = null;
let listening = false;

/** Idempotent. */
export function listenForPartialSuccess(): void {
  if (listening) return;
  listening = true;
  const ignore = (): void => undefined;
  const warn = (message: string, ...rest: unknown[]): void => {
    if (message.startsWith("Received Partial Success")) heard = rest[0];
  };
  diag.setLogger(
    { verbose: ignore, debug: ignore, info: ignore, warn, error: ignore },
    {
      logLevel: DiagLogLevel.WARN,
      suppressOverrideMessage: true,
    },
  );
}

/** To be called before an export and within its callback. */
export function takePartialSuccess(): { readonly rejected: number; readonly why: string } {
  const text = heard;
  heard = null;
  if (typeof text !== "string") return { rejected: 0, why: "" };
  const said = JSON.parse(text) as Readonly<Record<string, string | number>>;
  const rejected = Number(said["rejectedSpans"] ?? said["rejectedLogRecords"] ?? 0);
  return { rejected: Number.isFinite(rejected) ? rejected : 0, why: String(said["errorMessage"] ?? "") };
}
