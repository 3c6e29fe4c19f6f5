/** How much waits, and how fast it goes. Each can be set otherwise for tests. */
export interface SinkLimits {
  /** Segments that may wait for one collector; the oldest goes first. */
  readonly queueSegments: number;
  /** Bytes of JSON text that may wait for one collector. */
  readonly queueBytes: number;
  /** Segments in one delivery. */
  readonly batchSegments: number;
  /** Bytes of segments in one delivery; a longer segment goes alone. */
  readonly batchBytes: number;
  /** Bytes of one segment; a longer one fits into no delivery. */
  readonly segmentBytes: number;
  /** Shortest time between the beginnings of two deliveries to one collector, ms. */
  readonly paceMs: number;
  /** First pause after a failed delivery, doubled at each further one, ms; half of it is chance. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  /** A collector that has not answered by then has failed, ms. */
  readonly answerMs: number;
  /** A collector that is not in the store any more is delivered to for so long, ms: it may only have lost its session. */
  readonly forgetMs: number;
  /** Text of segments that the spool has too and memory keeps nevertheless, bytes. */
  readonly memoryBytes: number;
  /** Longest time without a delivery: then one says that the host is there, ms. */
  readonly heartbeatMs: number;
  /** At the end, for what still waits, ms. */
  readonly stopMs: number;
}

export const SINK_LIMITS: SinkLimits = {
  queueSegments: 10_000,
  queueBytes: 32 * 1024 * 1024,
  batchSegments: 500,
  batchBytes: 1024 * 1024,
  segmentBytes: 3 * 1024 * 1024,
  paceMs: 50,
  backoffMs: 100,
  maxBackoffMs: 10_000,
  answerMs: 10_000,
  forgetMs: 120_000,
  memoryBytes: 8 * 1024 * 1024,
  heartbeatMs: 10_000,
  stopMs: 2_000,
};
