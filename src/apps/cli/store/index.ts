/** The operator's commands against the store itself, with no server in between: `store check`, `export`, `import`. */
import type { Command } from "#apps/cli/options";
import { storeCheck } from "./check.ts";
import { storeExport } from "./export.ts";
import { storeImport } from "./import.ts";

export const storeCommands: readonly Command[] = [storeCheck, storeExport, storeImport];
