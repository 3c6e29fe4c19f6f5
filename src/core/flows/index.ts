export * from "./actions.ts";
export * from "./fields.ts";
export * from "./match.ts";
export * from "./parse.ts";
export * from "./run-actions.ts";
export * from "./tags.ts";
export * from "./tunnel-key.ts";
