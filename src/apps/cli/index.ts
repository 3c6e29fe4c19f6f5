/**
 * The program. Rooms of its own, because apps must not see each other: `options/` (how a command is declared; the servers use
 * it too), `client/` (the commands against a REST API; it knows no server), `completion/` (scripts for shells), and this
 * one, which only joins them:
 *
 *     main.ts   the process: arguments, signals, exit code        run.ts  finds the command, reads its options, runs it
 *     commands.ts  all commands; the lab is loaded only when it is called
 */
export { commandIndex } from "./commands.ts";
export { run } from "./run.ts";
export * from "#apps/cli/options";
export * from "#apps/cli/client";
