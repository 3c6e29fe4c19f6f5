import { create, ERR, errName, exists, type AclEntry, sync, type ZkRequest } from "#protocols/zookeeper";

/** Paths of the store ↔ paths of the server. */
export class Chroot {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  outer(path: string): string {
    return path === "/" ? this.path : this.path + path;
  }

  /** Null: not below the root. */
  inner(path: string): string | null {
    if (path === this.path) return "/";
    return path.startsWith(`${this.path}/`) ? path.slice(this.path.length) : null;
  }

  /** The root and what it stands on, outermost first. */
  ancestry(): string[] {
    const names = this.path.slice(1).split("/");
    return names.map((_, i) => `/${names.slice(0, i + 1).join("/")}`);
  }
}

/** Sends a request; resolves with the answer's error and value. @throws NsdbUnavailable */
export type Ask = <R>(request: ZkRequest<R>) => Promise<{ readonly err: number; readonly value: R | null }>;

/**
 * Catches up with the ensemble's leader, and makes the root node and those above it when missing.
 * @returns null, or why the root cannot be used. @throws NsdbUnavailable
 */
export async function prepareRoot(chroot: Chroot, acl: readonly AclEntry[], ask: Ask): Promise<string | null> {
  const [{ err }, found] = await Promise.all([ask(sync(chroot.path)), ask(exists(chroot.path))]);
  // Of a root that is missing, too, the server answers that it has caught up.
  if (err !== ERR.ok && err !== ERR.noNode) return `it cannot catch up with its leader: ${errName(err)}`;
  if (found.err === ERR.ok) return null;
  for (const path of chroot.ancestry()) {
    const made = await ask(create(path, { data: new Uint8Array(0), acl, ephemeral: false }));
    if (made.err === ERR.ok || made.err === ERR.nodeExists) continue;
    // Above the root, nodes of others may be closed to us as long as they are there.
    const there = await ask(exists(path));
    if (there.err !== ERR.ok) return `${path} cannot be created: ${errName(made.err)}`;
  }
  return null;
}
