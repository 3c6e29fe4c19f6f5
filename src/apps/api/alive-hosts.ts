import { type NsdbEvent, type NsdbStore, type NsdbWatcher, pathElements } from "#core/nsdb";
import type { ApiLog } from "./call.ts";

/** Which hosts have an agent that runs, so that a flow trace can say why a host has not reported. */
export class AliveHosts implements NsdbWatcher {
  private readonly store: NsdbStore;
  private readonly log: ApiLog;
  private readonly alive = new Set<string>();
  /** What is in `alive` is of now: not while the store is away, when nobody knows. */
  private current = false;
  /** Hosts that were told of while they were being read. */
  private readonly told = new Set<string>();

  constructor(store: NsdbStore, log: ApiLog) {
    this.store = store;
    this.log = log;
    store.onSession((state) => {
      if (state !== "connected") this.current = false;
    });
  }

  /** Certainly: its agent does not run. */
  isDown(hostId: string): boolean {
    return this.current && !this.alive.has(hostId);
  }

  events(events: readonly NsdbEvent[]): void {
    for (const { kind, path } of events) {
      const [, id, what] = pathElements(path);
      if (id === undefined || what !== "alive") continue;
      this.told.add(id);
      if (kind === "deleted") this.alive.delete(id);
      else this.alive.add(id);
    }
  }

  /** After the watch is set. @throws NsdbUnavailable */
  async begin(): Promise<void> {
    this.told.clear();
    const hosts = await this.store.children("/hosts");
    const nodes = await this.store.getMany(hosts.map((id) => `/hosts/${id}/alive`));
    const there = new Set(hosts.filter((_, i) => nodes[i] !== null));
    // What was said meanwhile is newer than what was read.
    for (const id of this.alive) if (!there.has(id) && !this.told.has(id)) this.alive.delete(id);
    for (const id of there) if (!this.told.has(id)) this.alive.add(id);
    this.current = true;
  }

  resync(): void {
    this.begin().catch((error: unknown) => {
      // The connection broke again: the next one says `resync` again.
      this.log.info("the hosts could not be read", { error: String(error) });
    });
  }
}
