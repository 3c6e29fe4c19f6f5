import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { type Io, type OptionTable, usage } from "#apps/cli/options";
import { MidotraceError } from "#core/base";
import { type NsdbStore, NsdbUnavailable } from "#core/nsdb";

export const STORE_OPTION = {
  store: {
    kind: "text",
    placeholder: "URL",
    default: null,
    description: "the store: file:DIR (while nobody else has it open), zookeeper://HOST:PORT,…/PATH or memory:",
  },
} as const satisfies OptionTable;

/** How long a command waits for its store. */
const START_LIMIT_MS = 15_000;

export const nowMs = (): number => systemClock.nowMs();

/**
 * Runs `work` on the store of a URL, which is open for that long; an interrupted command closes it too.
 * @throws MidotraceError USAGE when there is no URL, STORE_UNAVAILABLE with the store's own words; what `work` throws.
 */
export async function withStore<T>(
  name: string,
  url: string | null,
  io: Io,
  work: (store: NsdbStore) => Promise<T>,
): Promise<T> {
  if (url === null) throw usage(`${name} needs --store URL`);
  // Not with the other commands: the adapters of stores take a while to load.
  const { openStoreWithStatus } = await import("#adapters/nsdb-open");
  const { store, waitingFor } = openStoreWithStatus(url, {
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    log: (level, message) => {
      if (level === "warn" || level === "error") io.err(`midotrace: ${message}\n`);
    },
  });
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(new MidotraceError("CONFLICT", "interrupted"));
  io.stop.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([started(store, waitingFor, work), stopped]);
  } catch (error) {
    if (error instanceof MidotraceError && error.cause instanceof NsdbUnavailable)
      throw new MidotraceError(error.code, `${error.message}: ${error.cause.message}`, [], { cause: error });
    throw error;
  } finally {
    io.stop.removeEventListener("abort", stop);
    await store.stop();
  }
}

/** Servers elsewhere are waited for, but not for ever. */
async function started<T>(
  store: NsdbStore,
  waitingFor: () => string | null,
  work: (store: NsdbStore) => Promise<T>,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const limit = systemScheduler.after(START_LIMIT_MS, () => {
    const why = waitingFor() ?? `nothing was heard for ${START_LIMIT_MS / 1_000} s`;
    reject(new MidotraceError("STORE_UNAVAILABLE", `the store does not answer: ${why}`));
  });
  try {
    await Promise.race([store.start(), late]);
  } finally {
    limit.cancel();
  }
  return work(store);
}
