import { openZookeeperStore } from "#adapters/nsdb-zookeeper";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { ApiServer } from "#apps/api";

/* The API server in a process of its own. argv: store URL. Says where it listens. */

const [url = ""] = process.argv.slice(2);
const part = { clock: systemClock, scheduler: systemScheduler, random: systemRandom };
const store = openZookeeperStore(url, part);
await store.start();
const server = new ApiServer({
  ...part,
  store,
  traceStore: new MemoryTraceStore({ clock: systemClock }),
  log: { info: () => {}, error: (message, fields) => console.error(message, fields) },
  host: "127.0.0.1",
  port: 0,
});
await server.start();
process.send?.(server.url);
process.on("disconnect", () => process.exit());
