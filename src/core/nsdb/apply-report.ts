import type { NamedKind } from "./apply-names.ts";

export interface ApplyEntry {
  readonly kind: NamedKind;
  readonly name: string;
  readonly id: string;
  readonly action: "created" | "changed" | "unchanged";
  /** Names of what changed, for "changed". */
  readonly changes?: readonly string[];
}

/** One entry per object that the document names, in the order in which the document was worked through. */
export interface ApplyReport {
  readonly objects: readonly ApplyEntry[];
}

/** Collects what was done to each object over the phases of an apply. */
export class ReportBuilder {
  private readonly entries = new Map<string, { kind: NamedKind; name: string; created: boolean; changes: string[] }>();

  created(kind: NamedKind, name: string, id: string): void {
    this.entries.set(id, { kind, name, created: true, changes: [] });
  }

  /** No changes: the object was looked at. */
  changed(kind: NamedKind, name: string, id: string, changes: readonly string[]): void {
    const entry = this.entries.get(id) ?? { kind, name, created: false, changes: [] };
    entry.changes.push(...changes.filter((c) => !entry.changes.includes(c)));
    this.entries.set(id, entry);
  }

  build(): ApplyReport {
    const objects = [...this.entries].map(([id, e]): ApplyEntry => {
      const head = { kind: e.kind, name: e.name, id };
      if (e.created) return { ...head, action: "created" };
      return e.changes.length === 0
        ? { ...head, action: "unchanged" }
        : { ...head, action: "changed", changes: e.changes };
    });
    return { objects };
  }
}

/** The fields of `patch` that say something else than `record`; undefined says nothing. */
export function differences<T extends object>(
  record: T,
  patch: { readonly [K in keyof T]?: T[K] | undefined },
): string[] {
  const from = record as Readonly<Record<string, unknown>>;
  return Object.entries(patch)
    .filter(([name, value]) => value !== undefined && value !== from[name])
    .map(([name]) => name);
}
