/**
 * What the web UI computes before it draws: pure, so that tests need no browser.
 *
 *     sse.ts  a stream's text → events     flow-list.ts  pages and events → the list     path.ts  steps → hops
 *     path-summary.ts  a counted path in one line     header-diff.ts  what a device changed     packet-text.ts, format.ts  one line of text
 *     condition-form.ts  fields ↔ expression     condition-sentence.ts  a condition in words
 */
export * from "./condition-form.ts";
export * from "./condition-sentence.ts";
export * from "./flow-list.ts";
export * from "./format.ts";
export * from "./header-diff.ts";
export * from "./packet-text.ts";
export * from "./path.ts";
export * from "./path-summary.ts";
export * from "./shown-flow.ts";
export * from "./sse.ts";
