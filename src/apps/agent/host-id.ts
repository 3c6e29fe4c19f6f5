import { join } from "node:path";
import type { StateDirectory } from "#adapters/platform";
import { type HostId, isUuid, MidotraceError } from "#core/base";

const FILE = "host-id";

/**
 * The host's id: the one given, else the one kept in the state directory, else a new one. It is kept.
 * @throws MidotraceError USAGE when what is given, or kept, is no UUID, or the directory cannot be written.
 */
export function hostIdOf(state: StateDirectory, given: string | null, fresh: () => string): HostId {
  const kept = state.read(FILE);
  const id = (given ?? kept ?? fresh()).toLowerCase();
  if (!isUuid(id)) {
    const where = given === null ? join(state.path, FILE) : "--host-id";
    throw new MidotraceError("USAGE", `${where} is a UUID, not ${JSON.stringify(id)}`);
  }
  if (kept !== id) state.write(FILE, id);
  return id as HostId;
}
