import { multiReadBytes } from "#protocols/zookeeper";

/** What the reply to one bulk read should not exceed: the servers' and other clients' own idea of a big packet. */
const REPLY_BYTES = 1024 * 1024;
const REQUEST_BYTES = 128 * 1024;
const MOST_NODES = 256;
/** Expected of a node until some were seen; with its 68 bytes of state. */
const FIRST_GUESS_BYTES = 2048;

/**
 * Cuts a read of many nodes into requests whose replies are likely to stay below a megabyte. A server has no limit of its
 * own (it builds a reply of any size, in memory), so the cut is by the sizes of nodes seen: the largest of late, which
 * fades by a tenth with each reply that has none so large.
 */
export class BulkReads {
  private nodeBytes = FIRST_GUESS_BYTES;

  cut(paths: readonly string[]): string[][] {
    const most = Math.max(1, Math.min(MOST_NODES, Math.floor(REPLY_BYTES / this.nodeBytes)));
    const batches: string[][] = [];
    let batch: string[] = [];
    let bytes = 0;
    for (const path of paths) {
      const size = multiReadBytes(path);
      if (batch.length === most || (batch.length > 0 && bytes + size > REQUEST_BYTES)) {
        batches.push(batch);
        batch = [];
        bytes = 0;
      }
      batch.push(path);
      bytes += size;
    }
    if (batch.length > 0) batches.push(batch);
    return batches;
  }

  /** Sizes of the nodes in one reply. */
  seen(sizesBytes: Iterable<number>): void {
    let largest = 0;
    for (const size of sizesBytes) largest = Math.max(largest, size + 128);
    if (largest > 0) this.nodeBytes = Math.max(largest, this.nodeBytes * 0.9);
  }
}
