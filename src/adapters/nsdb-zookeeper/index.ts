/**
 * The network state database in a ZooKeeper ensemble (3.6 or later).
 *
 *     store.ts       NsdbStore on one session      session.ts    its life, as users see it   options.ts
 *     connection.ts  the session's machine, driven wire.ts       sockets, TLS, names         url.ts     connection strings
 *     watches.ts     who watches what              bulk-read.ts  sizes of bulk reads         nodes.ts   records and refusals
 *     chroot.ts      the store's root
 */
import { parseZookeeperUrl } from "./url.ts";
import type { ZookeeperOptions } from "./options.ts";
import { ZookeeperStore } from "./store.ts";

export {
  DEFAULT_SESSION_TIMEOUT_MS,
  type ZookeeperLog,
  type ZookeeperOptions,
  type ZookeeperStatus,
} from "./options.ts";
export { ZookeeperStore } from "./store.ts";
export { type DigestAuth, parseZookeeperUrl, type TlsFiles, type ZookeeperTarget } from "./url.ts";

/**
 * A store on the servers and below the node that `url` names (`parseZookeeperUrl` has its grammar). Nothing happens before
 * start(), which makes the node and those above it when missing.
 * @throws MidotraceError USAGE naming what is wrong with the URL.
 */
export function openZookeeperStore(url: string, options: ZookeeperOptions): ZookeeperStore {
  return new ZookeeperStore(parseZookeeperUrl(url), options);
}
