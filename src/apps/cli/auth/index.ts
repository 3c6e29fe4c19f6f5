/** What whoever runs an API server needs for its users: `auth hash`. */
import type { Command } from "#apps/cli/options";
import { authHash } from "./main.ts";

export const authCommands: readonly Command[] = [authHash];
