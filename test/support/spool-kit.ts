import { FileTraceSpool, type SpoolFile, type SpoolFiles, spoolDirectory } from "#adapters/trace-spool-file";
import type { SpoolContents, SpoolEntry } from "#core/tracing";
import { flowId, requestId } from "./tracing-samples.ts";

export const REQUEST = requestId(0xe1);

export const segmentEntry = (serial: number, more: Partial<SpoolEntry> = {}): SpoolEntry => ({
  serial,
  kind: "segment",
  id: `segment ${serial}`,
  flowTraceId: flowId(serial),
  requestIds: [REQUEST],
  replaces: [],
  stands: [],
  ...more,
});

export const lossEntry = (serial: number, replaces: readonly number[], stands: readonly string[] = []): SpoolEntry =>
  segmentEntry(serial, { kind: "loss", id: `loss ${serial}`, flowTraceId: null, replaces, stands });

/** The text of a report; long enough that files fill. */
export const textNo = (serial: number, revision = 0): string =>
  JSON.stringify({ serial, revision, filling: "·".repeat(40) });

export function newSpool(
  directory: string,
  more: { chunkBytes?: number; files?: SpoolFiles; log?: string[] } = {},
): FileTraceSpool {
  const { log, ...options } = more;
  return new FileTraceSpool({ directory, log: (level, message) => void log?.push(`${level} ${message}`), ...options });
}

/** What a run after this one would find. */
export async function found(directory: string): Promise<SpoolContents> {
  const spool = newSpool(directory);
  const contents = await spool.open();
  await spool.close();
  return contents;
}

export class PowerCut extends Error {}

/** The directory until the `n`th change of it, of which a part is done; nothing works after that. */
export function filesUntil(
  directory: string,
  n: number,
  part: number,
): SpoolFiles & { readonly changes: () => number } {
  const real = spoolDirectory(directory);
  let changes = 0;
  const change = async <T>(whole: () => Promise<T>, some: () => Promise<unknown>): Promise<T> => {
    if (changes >= n) throw new PowerCut("the process was killed before");
    if (++changes < n) return whole();
    await some();
    throw new PowerCut("the process was killed here");
  };
  const nothing = (): Promise<void> => Promise.resolve();
  const all = part >= 1;
  return {
    ...real,
    changes: () => changes,
    create: (name) =>
      change(
        async () => watched(await real.create(name)),
        async () => (all ? await (await real.create(name)).close() : undefined),
      ),
    remove: (name) => change(() => real.remove(name), all ? () => real.remove(name) : nothing),
  };
  function watched(file: SpoolFile): SpoolFile {
    return {
      append: (bytes) =>
        change(
          () => file.append(bytes),
          () => file.append(bytes.subarray(0, Math.floor(bytes.length * part))),
        ),
      sync: () => file.sync(),
      close: () => file.close(),
    };
  }
}
