import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { MidotraceError } from "#core/base";

/** Others and the group: may read, write or execute. */
const NOT_OWNER = 0o077;

/**
 * The text of a file with secrets in it. Who can read it can be everybody in it, so it is its owner's alone.
 * @param option names it in messages: "--auth static:FILE".
 * @throws MidotraceError USAGE when it cannot be read, or others can.
 */
export function readSecretFile(path: string, option: string): string {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw new MidotraceError("USAGE", `${option}: ${(cause as Error).message}`, [], { cause });
  }
  try {
    // Of the file that is open, not of whatever stands at the path a moment later.
    const { mode } = fstatSync(file);
    if ((mode & NOT_OWNER) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(3, "0");
      throw new MidotraceError(
        "USAGE",
        `${option}: others can reach ${path} (mode ${shown}), which holds secrets: run \`chmod 600 ${path}\``,
      );
    }
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}
