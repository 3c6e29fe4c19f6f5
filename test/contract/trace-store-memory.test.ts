import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { START_MS } from "../support/tracing-example.ts";
import { traceStoreContract } from "./trace-store.ts";

traceStoreContract("memory", async (bounds) => {
  let now = START_MS;
  const clock = { nowMs: () => now, monotonicMs: () => now - START_MS };
  const store = new MemoryTraceStore({ clock, ...bounds });
  await store.start();
  return {
    store,
    advance: (ms) => {
      now += ms;
    },
    close: () => store.stop(),
  };
});
