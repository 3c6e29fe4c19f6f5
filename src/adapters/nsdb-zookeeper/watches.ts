import type { NsdbEvent, NsdbWatcher } from "#core/nsdb";

export interface Registration {
  readonly prefix: string;
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

  add(prefix: string, listener: NsdbWatcher): Registration {
    const registration = { prefix, listener, active: false };
    this.registrations.add(registration);
    this.users.set(prefix, (this.users.get(prefix) ?? 0) + 1);
    return registration;
  }

  /** @returns whether it was the last of its path. Again on the same: false. */
  remove(registration: Registration): boolean {
    if (!this.registrations.delete(registration)) return false;
    registration.active = false;
    const left = (this.users.get(registration.prefix) ?? 1) - 1;
    if (left > 0) this.users.set(registration.prefix, left);
    else this.users.delete(registration.prefix);
    return left === 0;
  }

  clear(): void {
    for (const registration of this.registrations) registration.active = false;
    this.registrations.clear();
    this.users.clear();
  }

  /** Those active now; one that is closed meanwhile, or made, is told nothing. */
  tell(events: readonly NsdbEvent[], guard: (listener: () => void) => void, stillOn: () => boolean): void {
    for (const registration of [...this.registrations].filter((r) => r.active)) {
      const seen = events.filter((event) => covers(registration.prefix, event.path));
      if (seen.length === 0 || !registration.active || !stillOn()) continue;
      guard(() => registration.listener.events(seen));
    }
  }

  resync(guard: (listener: () => void) => void): void {
    for (const registration of [...this.registrations].filter((r) => r.active)) {
      if (registration.active) guard(() => registration.listener.resync());
    }
  }
}

function covers(prefix: string, path: string): boolean {
  return prefix === "/" || path === prefix || (path.startsWith(prefix) && path[prefix.length] === "/");
}
