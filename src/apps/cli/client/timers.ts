import type { Scheduler } from "#core/base";

/** Timers of this process; a command that only waits for one of them can be interrupted. */
export const processTimers: Scheduler = {
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Resolves after the time, or at once when stopped. */
export function pause(scheduler: Scheduler, delayMs: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) return resolve();
    const done = (): void => {
      timer.cancel();
      stop.removeEventListener("abort", done);
      resolve();
    };
    const timer = scheduler.after(delayMs, done);
    stop.addEventListener("abort", done, { once: true });
  });
}

/** The chunks of a stream. @throws Error when none comes for so long: the other end is gone, and nobody said so. */
export async function* unlessQuiet(
  stream: ReadableStream<Uint8Array>,
  scheduler: Scheduler,
  quietMs: number,
): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      let cancel = (): void => undefined;
      const quiet = new Promise<never>((_, reject) => {
        const timer = scheduler.after(quietMs, () => reject(new Error(`nothing was heard for ${quietMs / 1_000} s`)));
        cancel = () => timer.cancel();
      });
      const { done, value } = await Promise.race([reader.read(), quiet]).finally(() => cancel());
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
