/** API servers that take trace segments, as long as they live: agents deliver to every one. */
import { MidotraceError } from "#core/base";
import { decode, encode, object, text } from "./codec.ts";
import { dropNode, ownNode } from "./ephemeral.ts";
import { COLLECTORS, collectorPath } from "./paths.ts";
import type { NsdbStore } from "./store.ts";
import { guard } from "./tx.ts";

export interface Collector {
  /** Of this run of the server. */
  readonly id: string;
  /** Where agents reach it: scheme, host, port and perhaps a path, without the slash at the end. */
  readonly url: string;
}

export const readCollector = object<Pick<Collector, "url">>({ url: text() });

const HTTP_URL = /^https?:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?$/;

/**
 * The form in which a URL is compared and stored.
 * @throws MidotraceError USAGE when it is no http or https URL, or carries a user, a query or a fragment.
 */
export function collectorUrl(url: string): string {
  if (!HTTP_URL.test(url))
    throw new MidotraceError(
      "USAGE",
      `a collector's URL is http://HOST:PORT or https://HOST:PORT, not ${JSON.stringify(url)}`,
    );
  return url.replace(/\/+$/, "");
}

export class Collectors {
  private readonly store: NsdbStore;

  constructor(store: NsdbStore) {
    this.store = store;
  }

  /** To be called again in each new session. @throws MidotraceError NOT_FOUND when the store is not initialized; STORE_UNAVAILABLE. */
  async register({ id, url }: Collector): Promise<void> {
    const path = collectorPath(id);
    await ownNode(this.store, path, encode(readCollector, { url: collectorUrl(url) }, path), "directory of collectors");
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  async unregister(id: string): Promise<void> {
    await dropNode(this.store, collectorPath(id));
  }

  /**
   * Those that are there, by id. A node that nobody can read must not keep agents from the others: it is left out.
   * @throws MidotraceError STORE_UNAVAILABLE
   */
  async list(): Promise<Collector[]> {
    return guard(async () => {
      const ids = await this.store.children(COLLECTORS);
      const nodes = await this.store.getMany(ids.map(collectorPath));
      return ids.flatMap((id, i): Collector[] => {
        const node = nodes[i];
        if (!node) return [];
        try {
          return [{ id, url: collectorUrl(decode(readCollector, node.data, node.path).url) }];
        } catch {
          return [];
        }
      });
    });
  }
}
