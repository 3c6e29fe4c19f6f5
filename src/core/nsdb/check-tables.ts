/** What administrators wrote into the tables of bridges: of ports that are there. */
import { decode } from "./codec.ts";
import { readStaticMac } from "./bridge-tables.ts";
import type { Check } from "./check-kit.ts";
import { staticMacsPath } from "./paths.ts";

export function checkTables(k: Check): void {
  const ports = new Map(k.t.ports.map((p) => [p.id, p]));
  for (const { id } of k.t.bridges) {
    for (const name of k.tree.childNames(staticMacsPath(id))) {
      const path = `${staticMacsPath(id)}/${name}`;
      const text = k.text(path);
      if (text === null) continue;
      const { portId } = decode(readStaticMac, text, path);
      k.say(ports.get(portId)?.deviceId === id, `${path} names ${portId}, which is no port of the bridge`);
    }
  }
}
