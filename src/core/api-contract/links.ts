/** Path of the API on its server; everything of MidoNet's stands below it. */
export const BASE_PATH = "/midonet-api";

/** Absolute URIs, as MidoNet's clients need them: built from the address that the request came to. */
export class Links {
  /** "http://host:8181/midonet-api", without a trailing slash. */
  readonly base: string;

  constructor(base: string) {
    this.base = base;
  }

  /** Segments are percent-encoded. */
  to(...segments: readonly (string | number)[]): string {
    return [this.base, ...segments.map((s) => encodeURIComponent(s))].join("/");
  }

  toOrNull(collection: string, id: string | null): string | null {
    return id === null ? null : this.to(collection, id);
  }
}
