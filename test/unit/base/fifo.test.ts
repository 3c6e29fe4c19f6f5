import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Fifo } from "#core/base";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heapUsed(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

describe("a queue", () => {
  it("gives its items back in order, also beyond the places that are cut off", () => {
    const queue = new Fifo<number>();
    const model: number[] = [];
    for (let n = 0; n < 10_000; n++) {
      queue.push(n);
      model.push(n);
      // Grows to thousands, then shrinks to none.
      for (let k = 0; k < (n < 5_000 ? n % 2 : 2); k++) assert.equal(queue.shift(), model.shift());
      assert.deepEqual([queue.size, queue.first, queue.at(7)], [model.length, model[0], model[7]]);
    }
    assert.equal(queue.size, 0);
  });
  it("that is never empty does not grow with what has gone through", () => {
    const queue = new Fifo<number>();
    const before = heapUsed();
    for (let n = 0; n < 3_000_000; n++) {
      queue.push(n);
      if (n > 10) queue.shift();
    }
    assert.equal(queue.size, 11);
    const grown = heapUsed() - before;
    // Each place takes four or eight bytes.
    assert.ok(grown < 3_000_000, `${grown} bytes more`);
  });
  it("is empty in every respect when nothing is left", () => {
    const queue = new Fifo<string>();
    assert.deepEqual([queue.shift(), queue.first, queue.size], [undefined, undefined, 0]);
    queue.push("a");
    queue.push("b");
    assert.equal(queue.shift(), "a");
    queue.push("c");
    assert.deepEqual(queue.clear(), ["b", "c"]);
    assert.deepEqual([queue.shift(), queue.first, queue.size, queue.clear()], [undefined, undefined, 0, []]);
    queue.push("d");
    assert.equal(queue.first, "d");
  });
  it("lets an item go when it is taken, though others are left", async () => {
    const queue = new Fifo<object>();
    const seen: WeakRef<object>[] = [];
    const put = (): void => {
      const item = { big: new Array<number>(1000).fill(1) };
      seen.push(new WeakRef(item));
      queue.push(item);
    };
    for (let n = 0; n < 10; n++) put();
    for (let n = 0; n < 5; n++) queue.shift();
    // A WeakRef that was made or looked at holds its target until the job is over.
    await setImmediate();
    collect();
    assert.deepEqual(
      seen.map((ref) => ref.deref() !== undefined),
      [...new Array<boolean>(5).fill(false), ...new Array<boolean>(5).fill(true)],
    );
    assert.equal(queue.size, 5);
  });
});
