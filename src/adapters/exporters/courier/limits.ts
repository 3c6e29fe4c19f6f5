export interface CourierLimits {
  /** Steps that may wait, those of flows counted; what comes beyond is lost. */
  readonly queueSteps: number;
  /** Steps in one batch; a longer flow goes alone. */
  readonly batchSteps: number;
  /** So long a record waits for others to go with it, ms. */
  readonly paceMs: number;
  /** First pause after a failure, doubled at each further one, ms; half of it is chance. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  /** A target that has not answered by then has failed, ms. */
  readonly answerMs: number;
  /** How often one record is tried while the target takes others of its batch. */
  readonly attempts: number;
  /** At the end, for what still waits, ms. */
  readonly stopMs: number;
}

export const COURIER_LIMITS: CourierLimits = {
  queueSteps: 20_000,
  batchSteps: 2_000,
  paceMs: 200,
  backoffMs: 200,
  maxBackoffMs: 30_000,
  answerMs: 30_000,
  attempts: 10,
  stopMs: 2_000,
};
