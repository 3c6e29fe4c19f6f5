import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { START_MS } from "../support/tracing-example.ts";
import { traceStoreContract } from "./trace-store.ts";

traceStoreContract("memory", async (bounds) => {
  let now = START_MS;
  const clock = { nowMs: () => now, monotonicMs: () => now - START_MS };
  return {
    store: new MemoryTraceStore({ clock, ...bounds }),
    advance: (ms) => {
      now += ms;
    },
    close: async () => {},
  };
});
