import { Collectors } from "#core/nsdb";
import type { Check, HttpAnswer } from "./examination.ts";
import { fail, type Finding, ok, unknown, warn } from "./finding.ts";

/** Steps of one flow trace are shown with the clocks of their hosts: from here on, that misleads people, ms. */
const NOTICED_MS = 1_000;
/** Nobody keeps time at all, ms. */
const WRONG_MS = 60_000;
const KEEP_TIME = "apt-get install chrony, and chronyc tracking tells how far off it is";

export const clockSync: Check = {
  name: "clock",
  timeoutMs: 5_000,
  async run(_at, probes) {
    const name = "clock";
    const synchronized = await probes.clockSynchronized();
    if (synchronized === null)
      return [unknown(name, "nothing here tells whether the clock is kept in time", `timedatectl; ${KEEP_TIME}`)];
    return [
      synchronized
        ? ok(name, "the clock is kept in time")
        : warn(name, "nobody keeps the clock of this host in time", KEEP_TIME),
    ];
  },
};

/**
 * How far the server's clock is ahead of ours, ms: at least `from`, at most `to`. The Date header has whole seconds
 * (RFC 9110 §6.6.1), and was written between request and answer. Null: there is no such header.
 */
export function clockOffset({ date, sentAtMs, receivedAtMs }: HttpAnswer): { from: number; to: number } | null {
  const serverMs = date === null ? Number.NaN : Date.parse(date);
  if (Number.isNaN(serverMs)) return null;
  return { from: serverMs - receivedAtMs, to: serverMs + 1_000 - sentAtMs };
}

/** API servers that take this host's trace segments: whether it reaches them, and what their clocks say. */
export const collectors: Check = {
  name: "API servers",
  timeoutMs: 20_000,
  async run({ store }, probes) {
    const name = "API servers";
    if (store === null)
      return [unknown(name, "which API servers there are is not known", "put the line about the store in order first")];
    const servers = await new Collectors(store).list();
    if (servers.length === 0) {
      const advice =
        "systemctl start midotrace-api on some host; where it listens on loopback only it needs --collect ADDRESS:PORT";
      return [warn(name, "no API server takes trace segments: traced flows would be lost", advice)];
    }
    const looked = await Promise.all(
      servers.map(async ({ url }) => ({ url, ...(await probes.http(`${url}/healthz`)) })),
    );
    return looked.map(({ url, value, trouble }): Finding => {
      if (value === null)
        return fail(
          name,
          `API server ${url} does not answer: ${trouble}`,
          `from this host: curl -v ${url}/healthz; on the server: systemctl status midotrace-api, and --advertise`,
        );
      const offset = clockOffset(value);
      if (offset === null)
        return unknown(name, `API server ${url} answers, and does not tell its time`, `on both: date`);
      const leastMs = Math.max(offset.from, -offset.to, 0);
      if (leastMs <= NOTICED_MS)
        return ok(name, `API server ${url} answers, and its clock agrees with ours to the second`);
      const found = `the clock of API server ${url} is ${seconds(leastMs)} ${offset.from > 0 ? "ahead of" : "behind"} ours`;
      return (leastMs > WRONG_MS ? fail : warn)(name, found, `on both hosts: timedatectl; ${KEEP_TIME}`);
    });
  },
};

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;

export const CLOCK_CHECKS: readonly Check[] = [clockSync, collectors];
