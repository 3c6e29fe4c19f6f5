/** What agents say of the moment: by whom, and of what. */
import type { HostId } from "#core/base";
import { decode } from "./codec.ts";
import { readArp } from "./host-state.ts";
import type { Check } from "./check-kit.ts";
import { hostAlivePath, hostInterfacesPath, portActivePath, routerArpPath } from "./paths.ts";

export function checkMoment(k: Check): void {
  const alive = (host: string): boolean => k.tree.get(hostAlivePath(host as HostId)) !== null;
  const hosts = new Set<string>(k.t.hosts.map((h) => h.id));
  for (const port of k.t.ports) {
    for (const host of k.tree.childNames(portActivePath(port.id))) {
      k.say(hosts.has(host), `port ${port.id} is active on host ${host}, which does not exist`);
      k.say(alive(host) || !hosts.has(host), `port ${port.id} is active on host ${host}, which is not alive`);
      k.say(port.hostId === host, `port ${port.id} is active on host ${host}, and not bound to it`);
    }
  }
  for (const { id } of k.t.hosts)
    k.say(
      alive(id) || k.tree.childNames(hostInterfacesPath(id)).length === 0,
      `host ${id} has interfaces, and is not alive`,
    );
  for (const { id } of k.t.routers) {
    for (const ip of k.tree.childNames(routerArpPath(id))) {
      const path = `${routerArpPath(id)}/${ip}`;
      const text = k.text(path);
      if (text !== null) k.say(decode(readArp, text, path).ip === ip, `${path} is of another address`);
    }
  }
  const zones = Map.groupBy(k.t.tunnelZones, (z) => z.name);
  for (const [name, all] of zones) k.say(all.length === 1, `${all.length} tunnel zones have the name ${name}`);
}
