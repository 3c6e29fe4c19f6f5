import { covers, type NsdbEvent, type NsdbNode, type NsdbWatcher } from "#core/nsdb";

export interface Registration {
  readonly prefixes: readonly string[];
  readonly listener: NsdbWatcher;
  /** The server has confirmed it, and it is not closed. */
  active: boolean;
}

/**
 * Who watches what. The server knows one recursive watch per path, however many there are of it here; and whatever watches
 * of this session cover a path, it tells once.
 */
export class Watches {
  private readonly registrations = new Set<Registration>();
  private readonly users = new Map<string, number>();

  /** Paths that the server must watch. */
  paths(): Iterable<string> {
    return this.users.keys();
  }

  add(prefixes: readonly string[], listener: NsdbWatcher): Registration {
    const registration = { prefixes, listener, active: false };
    this.registrations.add(registration);
    for (const prefix of prefixes) this.users.set(prefix, (this.users.get(prefix) ?? 0) + 1);
    return registration;
  }

  /** @returns paths of which it was the last. Again on the same: none. */
  remove(registration: Registration): string[] {
    if (!this.registrations.delete(registration)) return [];
    registration.active = false;
    return registration.prefixes.filter((prefix) => {
      const left = (this.users.get(prefix) ?? 1) - 1;
      if (left > 0) this.users.set(prefix, left);
      else this.users.delete(prefix);
      return left === 0;
    });
  }

  clear(): void {
    for (const registration of this.registrations) registration.active = false;
    this.registrations.clear();
    this.users.clear();
  }

  /** Paths that the listeners would read when they hear of these changes. Null: none of them is in a hurry to. */
  wanted(events: readonly NsdbEvent[], guard: (listener: () => void) => void): readonly string[] | null {
    const paths = new Set<string>();
    let hurry = false;
    for (const { active, prefixes, listener } of this.registrations) {
      const seen = active ? events.filter((event) => covers(prefixes, event.path)) : [];
      if (seen.length === 0) continue;
      guard(() => {
        const wanted = listener.wants === undefined ? [] : listener.wants(seen);
        if (wanted === null) return;
        hurry = true;
        for (const path of wanted) paths.add(path);
      });
    }
    return hurry ? [...paths] : null;
  }

  /** Those active now; one that is closed meanwhile, or made, is told nothing. */
  tell(
    events: readonly NsdbEvent[],
    nodes: ReadonlyMap<string, NsdbNode | null>,
    guard: (listener: () => void) => void,
    stillOn: () => boolean,
  ): void {
    for (const registration of [...this.registrations].filter((r) => r.active)) {
      const seen = events.filter((event) => covers(registration.prefixes, event.path));
      if (seen.length === 0 || !registration.active || !stillOn()) continue;
      // Whoever is not told of a path's next change is not to know it now.
      const known = [...nodes].filter(([path]) => covers(registration.prefixes, path));
      guard(() => registration.listener.events(seen, new Map(known)));
    }
  }

  resync(guard: (listener: () => void) => void): void {
    for (const registration of [...this.registrations].filter((r) => r.active)) {
      if (registration.active) guard(() => registration.listener.resync());
    }
  }
}
