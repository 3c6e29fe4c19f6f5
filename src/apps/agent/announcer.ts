import { type HostId, MidotraceError, type PortId } from "#core/base";
import { hostAlivePath, type HostState, type NsdbStore, portActivePath } from "#core/nsdb";

/** What this host says of itself in the store: that it is alive, and which of its ports are up. All of it ends with the session. */
export class Announcer {
  private readonly state: HostState;
  private readonly store: Pick<NsdbStore, "sessionEpoch" | "getMany">;
  private readonly host: HostId;
  /** Session in which it was said that the host is alive. */
  private aliveIn = 0;
  /** Active ports and the session in which each was said. */
  private readonly saidIn = new Map<PortId, number>();
  /** Nodes that somebody deleted: this announcer itself, to make them its own, or somebody else. */
  private readonly deleted = new Set<string>();

  constructor(state: HostState, store: Pick<NsdbStore, "sessionEpoch" | "getMany">, host: HostId) {
    this.state = state;
    this.store = store;
    this.host = host;
  }

  get isAnnounced(): boolean {
    return this.aliveIn !== 0 && this.aliveIn === this.store.sessionEpoch;
  }

  /**
   * The node was deleted. A port that was deleted and made anew has lost what was said of it, with no change of session.
   * @returns whether it is one of those that are said here, and `announce` should look.
   */
  gone(path: string): boolean {
    const mine = path === hostAlivePath(this.host) || this.portOf(path) !== null;
    if (mine) this.deleted.add(path);
    return mine;
  }

  /** Nobody says what was deleted in a gap: `announce` looks at all that was said. */
  gap(): void {
    if (this.aliveIn !== 0) this.deleted.add(hostAlivePath(this.host));
    for (const port of this.saidIn.keys()) this.deleted.add(`${portActivePath(port)}/${this.host}`);
  }

  /**
   * Says what is not said yet in this session. A port that the store does not have (a binding that outlived it) keeps
   * nothing from the others. @throws MidotraceError STORE_UNAVAILABLE; NOT_FOUND for the host, or, in the end, such a port.
   */
  async announce(active: ReadonlySet<PortId>): Promise<void> {
    // Taken before: what was written while the session changed is written again.
    const epoch = this.store.sessionEpoch;
    await this.lookAgain();
    if (this.aliveIn !== epoch) {
      await this.state.setAlive(this.host);
      this.aliveIn = epoch;
    }
    let missing: MidotraceError | null = null;
    for (const port of active) {
      if (this.saidIn.get(port) === epoch) continue;
      try {
        await this.state.setPortActive(port, this.host);
      } catch (error) {
        if (!(error instanceof MidotraceError && error.code === "NOT_FOUND")) throw error;
        missing ??= error;
        continue;
      }
      this.saidIn.set(port, epoch);
    }
    for (const port of this.saidIn.keys()) {
      if (active.has(port)) continue;
      await this.state.clearPortActive(port, this.host);
      this.saidIn.delete(port);
    }
    if (missing !== null) throw missing;
  }

  /** What is really gone was not said. */
  private async lookAgain(): Promise<void> {
    const paths = [...this.deleted];
    if (paths.length === 0) return;
    const nodes = await this.store.getMany(paths);
    for (const [i, path] of paths.entries()) {
      this.deleted.delete(path);
      if (nodes[i] !== null) continue;
      const port = this.portOf(path);
      if (port === null) this.aliveIn = 0;
      else this.saidIn.delete(port);
    }
  }

  private portOf(path: string): PortId | null {
    const [, ports, id, , host] = path.split("/");
    if (ports !== "ports" || host !== this.host) return null;
    const port = id as PortId;
    return path === `${portActivePath(port)}/${host}` && this.saidIn.has(port) ? port : null;
  }
}
