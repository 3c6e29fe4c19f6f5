/** What administrators wrote into the tables of bridges, and the index of trace requests by tenant. */
import { decode } from "./codec.ts";
import { readStaticMac } from "./bridge-tables.ts";
import type { Check } from "./check-kit.ts";
import { staticMacsPath, TENANTS } from "./paths.ts";
import { indexNodes } from "./tenant-index.ts";

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

/** Each request is in the index of its device's tenant, and nothing else is in any. */
export function checkTenants(k: Check): void {
  const shall = new Set(indexNodes(k.t).filter((path) => /\/traces\/[^/]+$/.test(path)));
  for (const tenant of k.tree.childNames(TENANTS)) {
    const directory = `${TENANTS}/${tenant}/traces`;
    for (const id of k.tree.childNames(directory))
      k.say(shall.delete(`${directory}/${id}`), `${directory} lists ${id}, which is no trace request of the tenant`);
  }
  for (const path of shall) k.say(false, `${path} is missing: a trace request is not in the index of its tenant`);
}
