import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock, Random, Scheduler } from "#core/base";

/** A scheduler under test, and how its time passes. */
export interface SchedulerUnderTest {
  readonly scheduler: Scheduler;
  /** Until every timer that is a few ms away has run. */
  readonly idle: () => Promise<void>;
}

export function schedulerContract(name: string, make: () => SchedulerUnderTest): void {
  describe(`scheduler: ${name}`, () => {
    it("runs a task once, and never inside the call", async () => {
      const { scheduler, idle } = make();
      const ran: number[] = [];
      for (const delayMs of [0, 1, -1]) scheduler.after(delayMs, () => ran.push(delayMs));
      assert.deepEqual(ran, []);
      await idle();
      await idle();
      assert.deepEqual(
        ran.toSorted((a, b) => a - b),
        [-1, 0, 1],
      );
    });

    it("runs nothing that was cancelled, also by a task that is due at the same time", async () => {
      const { scheduler, idle } = make();
      const ran: string[] = [];
      for (const delayMs of [0, 1]) {
        scheduler.after(delayMs, () => ran.push("cancelled")).cancel();
        scheduler.after(delayMs, () => {
          ran.push("first");
          second.cancel();
        });
        const second = scheduler.after(delayMs, () => ran.push("second"));
      }
      await idle();
      assert.deepEqual(ran, ["first", "first"]);
    });

    it("takes a cancel that comes too late, or twice", async () => {
      const { scheduler, idle } = make();
      let count = 0;
      for (const delayMs of [0, 1]) {
        const timer = scheduler.after(delayMs, () => {
          count++;
          timer.cancel();
        });
        await idle();
        timer.cancel();
        timer.cancel();
      }
      assert.equal(count, 2);
    });

    it("keeps the order of tasks of equal delay", async () => {
      const { scheduler, idle } = make();
      const ran: string[] = [];
      for (const delayMs of [0, 1])
        for (const n of [1, 2, 3]) scheduler.after(delayMs, () => ran.push(`${delayMs} ${n}`));
      await idle();
      for (const delayMs of [0, 1]) {
        const own = ran.filter((r) => r.startsWith(`${delayMs} `));
        assert.deepEqual(
          own,
          [1, 2, 3].map((n) => `${delayMs} ${n}`),
        );
      }
    });

    it("runs what a task schedules, after that task", async () => {
      const { scheduler, idle } = make();
      const ran: string[] = [];
      scheduler.after(0, () => {
        scheduler.after(0, () => ran.push("inner"));
        ran.push("outer");
      });
      await idle();
      await idle();
      assert.deepEqual(ran, ["outer", "inner"]);
    });

    it("waits however long it is asked to", async () => {
      const { scheduler, idle } = make();
      let ran = false;
      const timers = [2 ** 31, 2 ** 40].map((delayMs) => scheduler.after(delayMs, () => void (ran = true)));
      await idle();
      for (const timer of timers) timer.cancel();
      assert.equal(ran, false);
    });
  });
}

export function clockContract(name: string, clock: Clock): void {
  describe(`clock: ${name}`, () => {
    it("tells a wall clock that is a date, and a monotonic one that never goes back", () => {
      assert.ok(new Date(clock.nowMs()).getUTCFullYear() >= 2025);
      let last = clock.monotonicMs();
      for (let i = 0; i < 1_000; i++) {
        const now = clock.monotonicMs();
        assert.ok(now >= last);
        last = now;
      }
    });
  });
}

export function randomContract(name: string, random: Random): void {
  describe(`random: ${name}`, () => {
    it("gives doubles from 0 up to but not including 1, over the whole range", () => {
      const values = Array.from({ length: 1_000 }, () => random.next());
      assert.ok(values.every((v) => v >= 0 && v < 1));
      assert.equal(new Set(values.map((v) => Math.floor(v * 8))).size, 8);
    });

    it("gives version 4 UUIDs in lower case, each another", () => {
      const ids = Array.from({ length: 1_000 }, () => random.uuid());
      for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      assert.equal(new Set(ids).size, ids.length);
    });
  });
}
