import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { TimerPool } from "#apps/lab";
import { SeededRandom } from "#core/base";
import { VirtualTime } from "../support/virtual-time.ts";
import { clockContract, randomContract, schedulerContract } from "./time.ts";

/** A timer of the platform's own that is due after all of the suite's, and behind it whatever is ready at that moment. */
const idle = (): Promise<void> => new Promise((resolve) => void setTimeout(() => setImmediate(resolve), 10));

schedulerContract("platform", () => ({ scheduler: systemScheduler, idle }));
schedulerContract("pool of the lab", () => ({ scheduler: new TimerPool(systemScheduler), idle }));
schedulerContract("virtual time", () => {
  const time = new VirtualTime();
  return { scheduler: time, idle: () => time.advance(10) };
});

clockContract("platform", systemClock);
clockContract("virtual time", new VirtualTime());

randomContract("platform", systemRandom);
randomContract("seeded", new SeededRandom(7));
