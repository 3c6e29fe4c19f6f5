const NOBODY: ReadonlySet<never> = new Set<never>();

/**
 * Who depends on which paths of the store. What somebody depends on is known only when it has been read, and a path may
 * change behind the answer and before that: so while a reading is under way every change is remembered, whosesoever it is.
 */
export class PathUsers<U> {
  private readonly users = new Map<string, Set<U>>();
  private readonly paths = new Map<U, ReadonlySet<string>>();
  /** Paths that changed since the reading under way began. */
  private readonly overtaking = new Set<string>();
  private reading = false;

  begin(): void {
    this.overtaking.clear();
    this.reading = true;
  }

  end(): void {
    this.overtaking.clear();
    this.reading = false;
  }

  /** The path changed. @returns who depends on it, as far as is known yet. */
  touched(path: string): ReadonlySet<U> {
    if (this.reading) this.overtaking.add(path);
    return this.users.get(path) ?? NOBODY;
  }

  has(path: string): boolean {
    return this.users.has(path);
  }

  pathsOf(user: U): ReadonlySet<string> {
    return this.paths.get(user) ?? NOBODY;
  }

  /** Between `begin` and `end`. @returns whether one of the paths changed since `begin`: what was read may be of before that. */
  follow(user: U, paths: ReadonlySet<string>): boolean {
    const before = this.pathsOf(user);
    for (const path of before) {
      if (paths.has(path)) continue;
      const users = this.users.get(path);
      users?.delete(user);
      if (users?.size === 0) this.users.delete(path);
    }
    for (const path of paths) {
      if (before.has(path)) continue;
      const users = this.users.get(path);
      if (users === undefined) this.users.set(path, new Set([user]));
      else users.add(user);
    }
    this.paths.set(user, paths);
    for (const path of this.overtaking) if (paths.has(path)) return true;
    return false;
  }
}
