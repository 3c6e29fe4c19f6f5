import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { command, untilStopped, usage } from "#apps/cli/options";
import type { Lifecycle } from "#core/base";
import type { NsdbStore } from "#core/nsdb";
import { ApiServer } from "./api-server.ts";
import type { ApiLog } from "./call.ts";
import { parseListen, requireLoopback } from "./listen.ts";
import { API_OPTIONS, type ApiOptionValues } from "./options.ts";

export const apiCommand = command({
  name: "api",
  summary: "run the REST API over a store",
  positionals: [],
  options: API_OPTIONS,
  examples: ["midotrace api --store file:./lab-data --listen 127.0.0.1:8181"],
  async run({ options, io }) {
    const api = composeApi(options, io.version);
    await api.start();
    io.out(`listening on ${api.server.url}\n`);
    await untilStopped(io);
    await api.stop();
    return 0;
  },
});

/** @throws MidotraceError USAGE for a URL that no store of this release has. */
export function openStore(url: string): NsdbStore {
  if (url.startsWith("zookeeper:"))
    throw usage("zookeeper:// stores come with the next release: use memory: or file:DIR");
  return openEmbeddedStore(url);
}

/**
 * The API server of a command line, with everything it needs; `start` starts the store, then the server.
 * @throws MidotraceError USAGE
 */
export function composeApi(options: ApiOptionValues, version: string): Lifecycle & { readonly server: ApiServer } {
  if (options.auth !== "none") throw usage(`--auth ${options.auth} comes with the next release: use none`);
  const { host, port } = parseListen(options.listen);
  requireLoopback(host, options.insecure);
  const store = openStore(options.store);
  const server = new ApiServer({
    store,
    traceStore: new MemoryTraceStore({ clock: systemClock }),
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    log: stderrLog,
    host,
    port,
    insecure: options.insecure,
    version,
  });
  return {
    server,
    start: async () => {
      await store.start();
      try {
        await server.start();
      } catch (error) {
        await server.stop();
        await store.stop();
        throw error;
      }
    },
    stop: async () => {
      await server.stop();
      await store.stop();
    },
  };
}

const line = (level: string, message: string, fields: object = {}): void =>
  console.error(JSON.stringify({ level, message, ...fields }));
const stderrLog: ApiLog = {
  info: (message, fields) => line("info", message, fields),
  error: (message, fields) => line("error", message, fields),
};
