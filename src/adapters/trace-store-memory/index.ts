export { MEMORY_TRACE_STORE_LIMITS, type MemoryTraceStoreLimits } from "./limits.ts";
export { MemoryTraceStore, type MemoryTraceStoreOptions } from "./store.ts";
