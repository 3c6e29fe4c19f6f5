/** What reading a capture file gives, whatever its format. */

export interface CapturedFrame {
  /** Nanoseconds since 1970-01-01 UTC; 0 where the file gives no time (simple packet blocks). */
  readonly timestampNs: bigint;
  /** What was captured: a view of the file's bytes. */
  readonly bytes: Uint8Array;
  /** Length on the wire in bytes; more than `bytes.length` when the capture cut the frame. */
  readonly originalLength: number;
}

export interface CaptureProblem {
  readonly reason: "not-a-capture" | "truncated" | "bad-length" | "unsupported-linktype" | "unsupported-version";
  /** Bytes from the start of the file. */
  readonly offset: number;
}

export interface Capture {
  /** All frames before the problem, if there is one. */
  readonly frames: readonly CapturedFrame[];
  readonly problem: CaptureProblem | null;
}

export const LINKTYPE_ETHERNET = 1;
