/**
 * The agent's journal of traced flows as a file: what was counted is there when the process is killed at any moment.
 *
 *     journal.ts  life, failures, compaction     append-file.ts  bytes to the kernel and the disk
 *     records.ts  lines and their checksums      state.ts  what the lines amount to
 */
export { FileTraceJournal, type FileTraceJournalOptions } from "./journal.ts";
