/**
 * Reports that wait for the collectors, as files: what was kept is there when the process is killed at any moment.
 *
 *     spool.ts  what is written when, and what goes     contents.ts  what the lines amount to
 *     lines.ts  lines and their checksums     files.ts  the directory
 */
export { TRACE_SPOOL_METRICS, traceSpoolMetrics } from "./metrics.ts";
export { FileTraceSpool, type FileTraceSpoolOptions } from "./spool.ts";
export { type SpoolFile, type SpoolFiles, spoolDirectory } from "./files.ts";
