import { AssertionError } from "node:assert";
import { setImmediate } from "node:timers/promises";

/**
 * Calls `fn` again and again until it no longer fails an assertion, and returns what it returns. The deadline only bounds
 * a failing test: nothing is concluded from how long it took.
 * @throws the last AssertionError when the deadline is over; anything else that `fn` throws, at once.
 */
export async function eventually<T>(fn: () => T | Promise<T>, deadlineMs = 10_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await fn();
    } catch (error) {
      if (!(error instanceof AssertionError) || performance.now() > end) throw error;
    }
    await setImmediate();
  }
}
