/**
 * Completion scripts for shells, made from the commands' own declarations.
 *
 *     shape.ts  what a shell needs to know of a command     bash.ts, zsh.ts, fish.ts  as each shell wants it told
 */
export { bashScript } from "./bash.ts";
export { fishScript } from "./fish.ts";
export { type CommandShape, shapesOf } from "./shape.ts";
export { zshScript } from "./zsh.ts";
