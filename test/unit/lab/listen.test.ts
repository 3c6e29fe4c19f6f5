import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { Lab } from "#apps/lab";

function labOn(host: string, insecure?: boolean): Lab {
  return new Lab({
    storeUrl: "memory:",
    listen: { host, port: 0 },
    ...(insecure === undefined ? {} : { insecure }),
    topology: null,
    vms: { vms: [], traffic: [] },
    traffic: null,
    traceLog: null,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    log: () => {},
    version: "0",
  });
}

test("a lab that others could reach does not start, whoever composed it, unless it is told to be insecure", async () => {
  for (const host of ["0.0.0.0", "::"]) {
    for (const insecure of [undefined, false]) {
      const lab = labOn(host, insecure);
      await assert.rejects(lab.start(), { code: "USAGE", message: /--insecure/ });
      assert.equal(lab.url, "");
    }
  }
  const open = labOn("0.0.0.0", true);
  await open.start();
  assert.match(open.url, /^http:\/\/0\.0\.0\.0:\d+$/);
  await open.stop();
});
