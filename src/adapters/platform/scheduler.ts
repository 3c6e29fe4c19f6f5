import type { Scheduler } from "#core/base";

/** The longest that `setTimeout` can wait, 24.8 days: more than that, it would not wait at all. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemScheduler: Scheduler = {
  after: (delayMs, task) => {
    // setImmediate: a timer of 0 ms takes at least one, which the packet path would pay at every hop.
    if (delayMs <= 0) {
      const immediate = setImmediate(task);
      return { cancel: () => clearImmediate(immediate) };
    }
    let timer: NodeJS.Timeout;
    const wait = (ms: number): void => {
      timer = ms <= LONGEST_MS ? setTimeout(task, ms) : setTimeout(wait, LONGEST_MS, ms - LONGEST_MS);
    };
    wait(delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
