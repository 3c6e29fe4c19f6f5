import type { PortId } from "#core/base";
import type { PortDevice } from "#core/topology";

/** Which port has which tunnel key, of all that are known here: asked for with every packet that came out of a tunnel. */
export class PortKeys {
  private readonly byKey = new Map<number, PortDevice>();
  private readonly keyOf = new Map<string, number>();

  /** The port as it is now; null: there is none. */
  put(id: PortId, port: PortDevice | null): void {
    const before = this.keyOf.get(id);
    // A port that was deleted may have left its key to another.
    if (before !== undefined && this.byKey.get(before)?.id === id) this.byKey.delete(before);
    if (port === null) {
      this.keyOf.delete(id);
      return;
    }
    this.keyOf.set(id, port.tunnelKey);
    this.byKey.set(port.tunnelKey, port);
  }

  at(key: number): PortDevice | null {
    return this.byKey.get(key) ?? null;
  }
}
