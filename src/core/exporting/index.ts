export * from "./captured-packets.ts";
