import { join } from "node:path";
import { HOST, HostState, IMPORT_PATH, LAYOUT_VERSION, STORE_PATH, decode, readIdentity, readMember } from "#core/nsdb";
import { type NsdbStore, TUNNEL_ZONE, zoneMembersPath } from "#core/nsdb";
import type { HostRecord, TunnelZoneMember } from "#core/topology";
import { readBindings } from "../shared-state.ts";
import type { Check, Examination } from "./examination.ts";
import { fail, type Finding, ok, unknown, warn } from "./finding.ts";

const ROUND_TRIPS = 5;
/** Above this the store is too far away: every change of the network waits for it, ms. */
const SLOW_MS = 100;

export const storeReachable: Check = {
  name: "store",
  timeoutMs: 12_000,
  async run(at, probes) {
    const name = "store";
    const url = at.options.store;
    if (url === null)
      return [
        fail(
          name,
          "no store is named",
          "--store zookeeper://HOST:PORT,…/midonet/v1, or store: in the file of --config",
        ),
      ];
    const beganMs = probes.monotonicMs();
    const looked = await probes.store(url);
    if (looked.value === null) {
      const [, server = "HOST:2181"] = /^zookeepers?:\/\/(?:[^@/]*@)?([^,/]+)/.exec(url) ?? [];
      const [host, port = "2181"] = server.split(/:(?=\d+$)/);
      const advice = `on its hosts: systemctl status zookeeper; from here: nc -vz ${host} ${port}`;
      return [fail(name, `the store does not answer: ${looked.trouble}`, advice)];
    }
    at.store = looked.value;
    const connectedMs = probes.monotonicMs() - beganMs;
    const times: number[] = [];
    for (let i = 0; i < ROUND_TRIPS; i++) {
      const askedMs = probes.monotonicMs();
      await looked.value.get(STORE_PATH);
      times.push(probes.monotonicMs() - askedMs);
    }
    const median = times.sort((a, b) => a - b)[ROUND_TRIPS >> 1] ?? 0;
    const found = `the store answers: connected in ${connectedMs.toFixed(0)} ms, round trip ${median.toFixed(1)} ms`;
    if (median <= SLOW_MS) return [ok(name, found)];
    return [warn(name, found, "place the ensemble nearer to its hosts, and give it disks of its own")];
  },
};

export const storeIdentity: Check = {
  name: "store identity",
  timeoutMs: 5_000,
  async run(at, probes) {
    const name = "store identity";
    const { store, options } = at;
    if (store === null) return [unasked(at, name, "which store this is")];
    const [node, mark] = await store.getMany([STORE_PATH, IMPORT_PATH]);
    if (mark)
      return [
        fail(
          name,
          "an import into the store is not finished, and agents keep away until it is",
          "run the same midotrace store import again",
        ),
      ];
    if (!node) {
      const advice = "check the path at the end of --store; an API server or an agent that starts fills a new store";
      return [warn(name, "the store is empty: nobody has used it yet", advice)];
    }
    const { id, version } = decode(readIdentity, node.data, node.path);
    if (version !== LAYOUT_VERSION) {
      const found = `the store has layout ${version}, and this program reads ${LAYOUT_VERSION}`;
      return [fail(name, found, "use the same version of midotrace on every host (midotrace --version)")];
    }
    const file = join(options["state-dir"], "store-identity");
    const [url, known] = probes.readText(file)?.trim().split("\n") ?? [];
    if (url === options.store && known !== undefined && known !== id) {
      const found = `the store is ${id}, and this host knew ${known} at the same address`;
      const advice = `bring its data back (midotrace store import), or, if the new one is meant: rm ${file} and restart the agent`;
      return [fail(name, found, advice)];
    }
    return [ok(name, `store ${id}, layout ${version}`)];
  },
};

/** What later checks ask of the hosts. */
async function readHosts(at: Examination, store: NsdbStore): Promise<void> {
  at.hosts = await below<HostRecord>(store, HOST.directory, HOST.read);
  const members: TunnelZoneMember[] = [];
  for (const zone of await store.children(TUNNEL_ZONE.directory))
    members.push(...(await below<TunnelZoneMember>(store, zoneMembersPath(zone as never), readMember)));
  at.members = members;
}

async function below<T>(store: NsdbStore, directory: string, read: Parameters<typeof decode<T>>[0]): Promise<T[]> {
  const nodes = await store.getMany((await store.children(directory)).map((name) => `${directory}/${name}`));
  return nodes.flatMap((node) => (node === null ? [] : [decode(read, node.data, node.path)]));
}

export const registration: Check = {
  name: "host",
  timeoutMs: 10_000,
  async run(at) {
    const name = "host";
    const { store, hostId } = at;
    if (store === null) return [unasked(at, name, "whether this host is registered")];
    await readHosts(at, store);
    if (hostId === null)
      return [unknown(name, "whether this host is registered is not known: it has no id", "see the line about its id")];
    const record = at.hosts.find((h) => h.id === hostId);
    if (record === undefined) {
      const found = `the store knows no host ${hostId}`;
      return [warn(name, found, "start the agent, which registers its host: systemctl start midotrace-agent")];
    }
    at.aliveInStore = await new HostState(store).isAlive(hostId);
    const twins = at.hosts.filter((h) => h.name === record.name && h.id !== hostId);
    if (twins.length > 0) {
      const found = `host ${twins.map((t) => t.id).join(", ")} has the name ${record.name} too`;
      return [warn(name, found, "give each host a name of its own by --host-name: topology files go by names")];
    }
    return [ok(name, `host ${record.name} is registered, and ${at.aliveInStore ? "alive" : "not alive"} in the store`)];
  },
};

export const zoneMembership: Check = {
  name: "tunnel zone",
  timeoutMs: 2_000,
  async run(at) {
    const name = "tunnel zone";
    const { store, hostId, hosts, members } = at;
    if (store === null || hostId === null) return [unasked(at, name, "whether this host is in a tunnel zone")];
    const mine = members.filter((m) => m.hostId === hostId);
    const given = at.options["tunnel-ip"];
    const [first] = mine;
    if (first === undefined) {
      const found = "this host is in no tunnel zone: no other host can send to it";
      const advice = "add it under tunnelZones in a file for midotrace topology apply -f FILE.yaml";
      const alone = given !== null && hosts.every((h) => h.id === hostId);
      return [alone ? warn(name, found, advice) : fail(name, found, advice)];
    }
    at.tunnelIp ??= first.ipAddress;
    const others = mine.filter((m) => m.ipAddress !== at.tunnelIp);
    if (others.length > 0) {
      const found = `other hosts send to ${others.map((m) => m.ipAddress).join(", ")}, and this one receives at ${at.tunnelIp}`;
      return [
        fail(name, found, "make --tunnel-ip and the address in the tunnel zone the same (midotrace topology apply)"),
      ];
    }
    const count = mine.length === 1 ? "1 tunnel zone" : `${mine.length} tunnel zones`;
    return [ok(name, `this host is in ${count}, at ${at.tunnelIp}`)];
  },
};

export const addressTwins: Check = {
  name: "tunnel addresses",
  timeoutMs: 2_000,
  async run(at) {
    const name = "tunnel addresses";
    if (at.store === null) return [unasked(at, name, "whether hosts share a tunnel address")];
    const users = new Map<string, Set<string>>();
    for (const { ipAddress, hostId } of at.members)
      users.set(ipAddress, (users.get(ipAddress) ?? new Set()).add(hostId));
    const shared = [...users].filter(([, ids]) => ids.size > 1);
    if (shared.length === 0) return [ok(name, `no tunnel address is shared, of ${users.size}`)];
    return shared.map(([address, ids]): Finding => {
      const names = [...ids].map((id) => at.hostName(id)).join(" and ");
      return fail(
        name,
        `${names} have one tunnel address, ${address}`,
        "give each its own under tunnelZones (midotrace topology apply -f FILE.yaml)",
      );
    });
  },
};

export const bindings: Check = {
  name: "bindings",
  timeoutMs: 5_000,
  async run(at, probes) {
    const name = "bindings";
    const { store, hostId, database } = at;
    if (store === null || hostId === null) return [unasked(at, name, "which interfaces are bound here")];
    const findings: Finding[] = [];
    const bound = await readBindings(store, hostId, (error) =>
      findings.push(fail(name, `a binding cannot be read: ${String(error)}`, "bind the port again")),
    );
    at.bindings = bound;
    const there = new Map(probes.interfaces().map((i) => [i.name, i]));
    for (const [device, port] of bound) {
      const facts = there.get(device);
      const owner = database?.bridges.find((b) => b.name !== at.bridge && b.ports.some((p) => p.name === device));
      if (facts === undefined)
        findings.push(
          warn(
            name,
            `port ${port} is bound to interface ${device}, which does not exist`,
            "start its VM, or bind the port to another interface (midotrace topology show)",
          ),
        );
      else if (owner !== undefined)
        findings.push(
          fail(
            name,
            `bound interface ${device} is a port of bridge ${owner.name}`,
            `ovs-vsctl del-port ${owner.name} ${device}`,
          ),
        );
      else if (!facts.up) findings.push(warn(name, `bound interface ${device} is down`, `ip link set ${device} up`));
    }
    if (findings.length > 0) return findings;
    return [
      ok(
        name,
        bound.size === 0 ? "no interface of this host is bound" : `all ${bound.size} bound interfaces are there`,
      ),
    ];
  },
};

function unasked({ store }: Examination, check: string, what: string): Finding {
  const why = store === null ? "the store does not answer" : "it has no id";
  return unknown(check, `${what} is not known: ${why}`, "put the lines above in order first");
}

export const STORE_CHECKS: readonly Check[] = [
  storeReachable,
  storeIdentity,
  registration,
  zoneMembership,
  addressTwins,
  bindings,
];
