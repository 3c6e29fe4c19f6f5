/**
 * The option framework: what a command is, how its options are declared, read and shown. A room of its own, below the
 * command line's other rooms, so that the lab, the API server and the agent can declare their options with themselves.
 */
export * from "./command.ts";
export { commandHelp, optionHead, overview } from "./help.ts";
export * from "./listen-address.ts";
export * from "./read.ts";
export * from "./reference.ts";
export * from "./secret.ts";
export * from "./spec.ts";
export * from "./yaml-file.ts";
