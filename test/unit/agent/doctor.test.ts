import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { STORE_PATH, IMPORT_PATH } from "#core/nsdb";
import { examine } from "../../../src/apps/agent/doctor/examine.ts";
import { clockOffset } from "../../../src/apps/agent/doctor/clock-checks.ts";
import { countLine, findingLine, type Level, namesLine } from "../../../src/apps/agent/doctor/finding.ts";
import { largestPacket } from "../../../src/apps/agent/doctor/peer-checks.ts";
import type { AgentOptionValues } from "../../../src/apps/agent/options.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import {
  clockAt,
  DATABASE,
  doctor,
  HOST_A,
  HOST_B,
  INTERFACES,
  notReady,
  READYZ,
  ready,
  TOPOLOGY,
  type World,
} from "./doctor-world.ts";

const withInterfaces = (change: (name: string) => object) => () =>
  INTERFACES.map((facts) => ({ ...facts, ...change(facts.name) }));
const withDatabase = (change: object) => async () => ({ value: { ...DATABASE, ...change }, trouble: null });
const bridgeOf = (name: string, change: object) => ({
  bridges: DATABASE.bridges.map((b) => (b.name === name ? { ...b, ...change } : b)),
});
const answering = (url: string, answer: object) => async (asked: string) =>
  asked === url ? answer : asked === READYZ ? ready() : clockAt(0);
/** What the kernel says of the tunnel bridge and its card. */
const kernel = (arpIgnore: number, bridgeMac: string, cardMac: string) => ({
  "host-id": `${HOST_A}\n`,
  "/sys/class/net/br-phy/address": `${bridgeMac}\n`,
  "/sys/class/net/eth1/address": `${cardMac}\n`,
  "/proc/sys/net/ipv4/conf/all/arp_ignore": "0\n",
  "/proc/sys/net/ipv4/conf/eth1/arp_ignore": `${arpIgnore}\n`,
});
const gone = { value: null, trouble: "connect ECONNREFUSED" };

/** What is broken, the line that must say so, and what the advice must name. */
const CASES: readonly [
  what: string,
  world: Partial<World>,
  level: Level,
  check: string,
  found: RegExp,
  advice: RegExp,
][] = [
  ["an old kernel", { probes: { kernelRelease: () => "4.15.0-20-generic" } }, "warn", "kernel", /4\.15/, /4\.18/],
  [
    "no state directory",
    { probes: { directory: () => null } },
    "warn",
    "state directory",
    /no state directory \/state/,
    /mkdir -m 750 \/state/,
  ],
  [
    "a file in its place",
    { probes: { directory: () => ({ isDirectory: false, uid: 0, mode: 0o644, unwritable: null }) } },
    "fail",
    "state directory",
    /is no directory/,
    /rm \/state/,
  ],
  [
    "a read-only state directory",
    { probes: { directory: () => ({ isDirectory: true, uid: 0, mode: 0o750, unwritable: "EROFS" }) } },
    "fail",
    "state directory",
    /EROFS/,
    /findmnt/,
  ],
  [
    "somebody else's state directory",
    { probes: { directory: () => ({ isDirectory: true, uid: 1000, mode: 0o750, unwritable: null }) } },
    "warn",
    "state directory",
    /user 1000/,
    /chown/,
  ],
  [
    "a state directory open to all",
    { probes: { directory: () => ({ isDirectory: true, uid: 0, mode: 0o777, unwritable: null }) } },
    "warn",
    "state directory",
    /mode 777/,
    /chmod 750/,
  ],
  ["no host id", { files: {} }, "unknown", "host id", /no id yet/, /start the agent|--host-id/],
  ["a host id that is none", { files: { "host-id": "me\n" } }, "fail", "host id", /"me"/, /uuidgen/],
  [
    "another host id than before",
    { options: { "host-id": HOST_B } },
    "warn",
    "host id",
    new RegExp(`was ${HOST_A}`),
    /--host-id/,
  ],
  [
    "a dead ovs-vswitchd",
    { probes: { daemon: async () => ({ value: null, trouble: "its process 77 is gone" }) } },
    "fail",
    "ovs-vswitchd",
    /process 77 is gone/,
    /systemctl start openvswitch-switch/,
  ],
  [
    "an old ovs-vswitchd",
    { probes: { daemon: async () => ({ value: { pid: 1, version: "2.9.2" }, trouble: null }) } },
    "warn",
    "ovs-vswitchd",
    /2\.9\.2/,
    /upgrade/,
  ],
  [
    "an ovs-vswitchd of no version",
    { probes: { daemon: async () => ({ value: { pid: 1, version: "unknown" }, trouble: null }) } },
    "unknown",
    "ovs-vswitchd",
    /unknown version/,
    /--version/,
  ],
  [
    "no ovsdb-server",
    { probes: { database: async () => ({ value: null, trouble: "there is no socket /run/openvswitch/db.sock" }) } },
    "fail",
    "ovsdb",
    /no socket/,
    /--ovs-run-dir/,
  ],
  [
    "a configuration that is not applied",
    { probes: { database: withDatabase({ applied: false }) } },
    "warn",
    "ovsdb",
    /has not done all/,
    /ovs-vswitchd\.log/,
  ],
  [
    "userspace chosen for want of a module",
    {
      probes: {
        database: withDatabase({ choice: { type: "netdev", because: "the kernel module openvswitch is not loaded" } }),
      },
      options: { datapath: "auto" },
    },
    "warn",
    "datapath",
    /userspace datapath: the kernel module/,
    /modprobe openvswitch.*ethtool -K eth0 tx off/,
  ],
  [
    "the kernel's datapath without its module",
    { options: { datapath: "system" } },
    "fail",
    "datapath",
    /no module openvswitch/,
    /modprobe/,
  ],
  [
    "a module that nobody can tell of",
    {
      options: { datapath: "system" },
      probes: {
        module: async () => "unknown",
        database: withDatabase({ choice: { type: "system", because: "configured" } }),
      },
    },
    "unknown",
    "datapath",
    /not known/,
    /lsmod/,
  ],
  [
    "a daemon that has told nothing",
    { probes: { database: withDatabase({ choice: null }) } },
    "unknown",
    "datapath",
    /has not told/,
    /systemctl start/,
  ],
  [
    "a bridge that another drives",
    { probes: { database: withDatabase({ blocked: ["bridge br-int, which somebody else's controller drives"] }) } },
    "fail",
    "bridge",
    /somebody else's controller/,
    /del-br br-int/,
  ],
  [
    "no bridge",
    { probes: { database: withDatabase({ bridges: [DATABASE.bridges[1]] }) } },
    "warn",
    "bridge",
    /no bridge br-int/,
    /midotrace-agent/,
  ],
  [
    "a bridge nobody of us made",
    { probes: { database: withDatabase(bridgeOf("br-int", { ours: false })) } },
    "warn",
    "bridge",
    /no agent made it/,
    /del-br br-int/,
  ],
  [
    "a port without a device",
    {
      probes: {
        database: withDatabase(
          bridgeOf("br-int", {
            ports: [{ name: "vm-1", type: "", ofport: null, error: "could not open network device vm-1" }],
          }),
        ),
      },
    },
    "fail",
    "bridge",
    /could not open network device vm-1/,
    /ip link show vm-1/,
  ],
  [
    "another datapath than configured",
    { probes: { database: withDatabase(bridgeOf("br-int", { datapathType: "system" })) } },
    "warn",
    "bridge",
    /system, and netdev is configured/,
    /interrupts/,
  ],
  [
    "a bridge that takes no connection",
    { probes: { management: async () => "nobody listens at br-int.mgmt" } },
    "fail",
    "bridge",
    /nobody listens/,
    /systemctl restart/,
  ],
  ["no --store", { options: { store: null } }, "fail", "store", /no store is named/, /--store zookeeper:/],
  [
    "a store that is away",
    { store: null, options: { store: "zookeeper://10.0.0.7:2182,10.0.0.8/midonet/v1" } },
    "fail",
    "store",
    /connection refused/,
    /nc -vz 10\.0\.0\.7 2182/,
  ],
  [
    "an empty store",
    { store: async (_, store) => store.commit([{ op: "delete", path: STORE_PATH }]) },
    "warn",
    "store identity",
    /empty/,
    /path at the end of --store/,
  ],
  [
    "an import that is not finished",
    { store: async (_, store) => store.commit([{ op: "create", path: IMPORT_PATH, data: "{}" }]) },
    "fail",
    "store identity",
    /import .* not finished/,
    /store import/,
  ],
  [
    "another layout",
    {
      store: async (_, store) =>
        store.commit([
          { op: "set", path: STORE_PATH, data: JSON.stringify({ data: { id: HOST_A, version: 9 }, version: "1" }) },
        ]),
    },
    "fail",
    "store identity",
    /layout 9/,
    /same version/,
  ],
  [
    "another store than before",
    { files: { "host-id": HOST_A, "store-identity": `memory:\n${HOST_B}\n` } },
    "fail",
    "store identity",
    new RegExp(`knew ${HOST_B}`),
    /rm \/state\/store-identity/,
  ],
  [
    "a host that nobody registered",
    { files: { "host-id": "0c000000-0000-4000-8000-00000000000c" } },
    "warn",
    "host",
    /knows no host 0c/,
    /systemctl start midotrace-agent/,
  ],
  [
    "a host that is in no zone",
    { topology: { hosts: TOPOLOGY.hosts } },
    "fail",
    "tunnel zone",
    /in no tunnel zone/,
    /tunnelZones/,
  ],
  [
    "an address that is not the zone's",
    { options: { "tunnel-ip": "192.0.2.77" } },
    "fail",
    "tunnel zone",
    /send to 192\.0\.2\.1.* receives at 192\.0\.2\.77/,
    /--tunnel-ip/,
  ],
  [
    "two hosts with one address",
    {
      topology: {
        ...TOPOLOGY,
        tunnelZones: [{ name: "tz", type: "vxlan", hosts: { "host-a": "192.0.2.1", "host-b": "192.0.2.1" } }],
      },
    },
    "fail",
    "tunnel addresses",
    /host-a and host-b have one tunnel address, 192\.0\.2\.1/,
    /its own/,
  ],
  [
    "two hosts with one name",
    { store: async (nsdb) => void (await nsdb.hosts.create({ name: "host-a" })) },
    "warn",
    "host",
    /the name host-a too/,
    /--host-name/,
  ],
  [
    "a bound interface that is gone",
    { probes: { interfaces: () => INTERFACES.filter((i) => i.name !== "vm-1") } },
    "warn",
    "bindings",
    /interface vm-1, which does not exist/,
    /start its VM/,
  ],
  [
    "a bound interface that is down",
    { probes: { interfaces: withInterfaces((n) => (n === "vm-1" ? { up: false } : {})) } },
    "warn",
    "bindings",
    /vm-1 is down/,
    /ip link set vm-1 up/,
  ],
  [
    "a bound interface in another bridge",
    {
      probes: {
        database: withDatabase(bridgeOf("br-phy", { ports: [{ name: "vm-1", type: "", ofport: 3, error: null }] })),
      },
    },
    "fail",
    "bindings",
    /port of bridge br-phy/,
    /del-port br-phy vm-1/,
  ],
  [
    "no tunnel address anywhere",
    { topology: { hosts: TOPOLOGY.hosts } },
    "unknown",
    "tunnel address",
    /not known/,
    /--tunnel-ip/,
  ],
  [
    "a tunnel address on no interface",
    { probes: { interfaces: withInterfaces((n) => (n === "br-phy" ? { addresses: ["192.0.2.40"] } : {})) } },
    "fail",
    "tunnel address",
    /no interface .* 192\.0\.2\.1/,
    /ip address add 192\.0\.2\.1.*192\.0\.2\.40/,
  ],
  [
    "a tunnel interface that is down",
    { probes: { interfaces: withInterfaces((n) => (n === "br-phy" ? { up: false } : {})) } },
    "fail",
    "tunnel address",
    /br-phy, which is down/,
    /ip link set br-phy up/,
  ],
  [
    "a tunnel address on the plain card",
    { probes: { interfaces: withInterfaces((n) => ({ addresses: n === "eth1" ? ["192.0.2.1"] : [] })) } },
    "fail",
    "tunnel bridge",
    /eth1, which is no bridge/,
    /add-br br-phy .*add-port br-phy eth1; .*br-phy mtu 1500/,
  ],
  [
    "a tunnel bridge in the kernel",
    { probes: { database: withDatabase(bridgeOf("br-phy", { datapathType: "system" })) } },
    "fail",
    "tunnel bridge",
    /not of datapath_type netdev/,
    /set Bridge br-phy datapath_type=netdev/,
  ],
  [
    "a tunnel bridge without a card",
    { probes: { database: withDatabase(bridgeOf("br-phy", { ports: [] })) } },
    "fail",
    "tunnel bridge",
    /no network card/,
    /add-port br-phy NIC/,
  ],
  [
    "a tunnel bridge with a broken card",
    {
      probes: {
        database: withDatabase(
          bridgeOf("br-phy", { ports: [{ name: "eth1", type: "", ofport: null, error: "no such device" }] }),
        ),
      },
    },
    "fail",
    "tunnel bridge",
    /eth1 .*no such device/,
    /del-port br-phy eth1/,
  ],
  [
    "a card on which the kernel answers ARP beside the tunnel bridge",
    { files: kernel(0, "02:00:00:00:00:01", "02:00:00:00:00:02") },
    "fail",
    "tunnel bridge",
    /answers ARP for 192\.0\.2\.1 on eth1, too/,
    /sysctl -w net\.ipv4\.conf\.eth1\.arp_ignore=8/,
  ],
  [
    "a bound interface that is too large",
    { probes: { interfaces: withInterfaces((n) => (n === "vm-1" ? { mtu: 1500 } : {})) } },
    "warn",
    "overlay MTU",
    /vm-1 has MTU 1500, and 1450/,
    /mtu 1450.* MTU 1550 on br-phy/,
  ],
  [
    "a peer that is silent",
    { probes: { ping: async () => "silent" } },
    "fail",
    "peers",
    /host-b \(192\.0\.2\.2\) does not answer, and its agent is alive/,
    /UDP port 4789/,
  ],
  [
    "a peer that is down",
    { probes: { ping: async () => "silent" }, store: async (nsdb) => nsdb.state.setAlive(HOST_A) },
    "warn",
    "peers",
    /host-b .* not alive either/,
    /start that host/,
  ],
  [
    "a path that is too narrow",
    { probes: { ping: async (_from, _to, bytes) => (bytes !== null && bytes > 1400 ? "silent" : "answered") } },
    "fail",
    "peers",
    /up to 1400 bytes reach peer host-b .* 1500 are sent/,
    /MTU to 1500 .*to 1350/,
  ],
  [
    "no ping",
    { probes: { ping: async () => ({ trouble: "spawn ping ENOENT" }) } },
    "unknown",
    "peers",
    /host-b .*spawn ping ENOENT/,
    /iputils-ping/,
  ],
  [
    "a clock that nobody keeps",
    { probes: { clockSynchronized: async () => false } },
    "warn",
    "clock",
    /nobody keeps/,
    /chrony/,
  ],
  [
    "a clock of which nobody knows",
    { probes: { clockSynchronized: async () => null } },
    "unknown",
    "clock",
    /nothing here tells/,
    /timedatectl/,
  ],
  [
    "no API server",
    { store: async (nsdb) => nsdb.state.setAlive(HOST_A) },
    "warn",
    "API servers",
    /no API server takes/,
    /midotrace-api.*--collect/,
  ],
  [
    "an API server that is away",
    { probes: { http: answering("http://192.0.2.9:8181/healthz", gone) as never } },
    "fail",
    "API servers",
    /8181 does not answer: connect ECONNREFUSED/,
    /curl -v/,
  ],
  [
    "an API server whose clock is ahead",
    { probes: { http: answering("http://192.0.2.9:8181/healthz", clockAt(7_000)) as never } },
    "warn",
    "API servers",
    /7\.0 s ahead/,
    /timedatectl/,
  ],
  [
    "an API server whose clock is far behind",
    { probes: { http: answering("http://192.0.2.9:8181/healthz", clockAt(-120_000)) as never } },
    "fail",
    "API servers",
    /119 s behind/,
    /timedatectl/,
  ],
  [
    "an agent that does not run",
    { probes: { http: answering(READYZ, gone) as never }, store: async () => undefined },
    "warn",
    "agent",
    /no agent answers at http:\/\/127\.0\.0\.1:8182\/readyz \(connect ECONNREFUSED\)$/,
    /systemctl start midotrace-agent/,
  ],
  [
    "an agent elsewhere with this host's id",
    { probes: { http: answering(READYZ, gone) as never } },
    "warn",
    "agent",
    /another machine may have its id/,
    /host-id/,
  ],
  [
    "an agent that waits",
    { probes: { http: answering(READYZ, notReady("the moon")) as never } },
    "fail",
    "agent",
    /the agent waits for the moon/,
    /journalctl/,
  ],
  [
    "somebody else at its port",
    {
      probes: {
        http: answering(READYZ, {
          value: { status: 404, body: "<html>", date: null, sentAtMs: 0, receivedAtMs: 0 },
          trouble: null,
        }) as never,
      },
    },
    "fail",
    "agent",
    /is no agent \(status 404\)/,
    /ss -ltnp/,
  ],
  [
    "the agent of other options",
    { probes: { http: answering(READYZ, ready({ hostId: HOST_B })) as never } },
    "warn",
    "agent",
    new RegExp(`is host ${HOST_B}`),
    /same options/,
  ],
];

describe("agent doctor", () => {
  it("finds nothing on a healthy host, and says what it looked at", async () => {
    const findings = await doctor();
    assert.deepEqual(
      findings.filter((f) => f.level !== "ok"),
      [],
    );
    const checks = new Set(findings.map((f) => f.check));
    for (const [, , , check] of CASES) assert.ok(checks.has(check), `${check} was not looked at`);
  });

  for (const [what, world, level, check, found, advice] of CASES) {
    it(`names ${what}`, async () => {
      const findings = await doctor(world);
      const line = findings.find((f) => f.check === check && f.level === level && found.test(f.found));
      assert.ok(line !== undefined && line.level !== "ok", findings.map(findingLine).join("\n"));
      assert.match(line.advice, advice);
    });
  }

  it("lets a tunnel bridge have its card's MAC, or a card that is silent", async () => {
    const mac = "02:00:00:00:00:02";
    for (const files of [kernel(0, mac, mac), kernel(8, "02:00:00:00:00:01", mac)]) {
      const line = (await doctor({ files })).find((f) => f.check === "tunnel bridge");
      assert.equal(line?.level, "ok", line?.found);
    }
  });

  it("calls nothing good that it could not look at", async () => {
    const dead = { value: null, trouble: "gone" };
    const probes: World["probes"] = {
      daemon: async () => dead,
      database: async () => dead,
      http: async () => dead,
      interfaces: () => [],
      clockSynchronized: async () => null,
      directory: () => null,
    };
    const findings = await doctor({ store: null, files: {}, probes });
    assert.deepEqual(
      findings.filter((f) => f.level === "ok").map((f) => f.check),
      ["kernel"],
    );
    for (const f of findings) if (f.level !== "ok") assert.notEqual(f.advice, "", f.found);
  });

  it("tells a check that throws, and one that hangs, as unknown, and goes on", async () => {
    const time = new VirtualTime(0);
    const checks = [
      { name: "thrower", timeoutMs: 1, run: () => Promise.reject(new Error("no luck")) },
      { name: "hanger", timeoutMs: 4_000, run: () => new Promise<never>(() => undefined) },
      { name: "last", timeoutMs: 1, run: async () => [] },
    ];
    const seen: string[] = [];
    const work = examine(
      {
        options: {} as AgentOptionValues,
        probes: {} as never,
        scheduler: time,
        found: (f) => seen.push(`${f.level} ${f.found}`),
      },
      checks,
    );
    for (let i = 0; i < 10; i++) await Promise.resolve();
    await time.advance(4_000);
    await work;
    assert.deepEqual(seen, ["unknown thrower could not be checked: no luck", "unknown hanger was not done within 4 s"]);
  });

  it("finds the largest packet that passes, whatever it is", async () => {
    for (const limit of [68, 69, 1279, 1399, 1400, 1498, 1499]) {
      const asked: number[] = [];
      const largest = await largestPacket(async (bytes) => {
        asked.push(bytes);
        return bytes <= limit ? "answered" : "silent";
      }, 1500);
      assert.equal(largest, limit);
      assert.ok(asked.length <= 11, `${asked.length} pings`);
    }
  });

  it("knows a clock's offset as far as whole seconds tell", () => {
    const answer = { status: 200, body: "", sentAtMs: 10_200, receivedAtMs: 10_300 };
    assert.deepEqual(clockOffset({ ...answer, date: new Date(10_000).toUTCString() }), { from: -300, to: 800 });
    assert.deepEqual(clockOffset({ ...answer, date: new Date(15_000).toUTCString() }), { from: 4_700, to: 5_800 });
    assert.equal(clockOffset({ ...answer, date: null }), null);
    assert.equal(clockOffset({ ...answer, date: "yesterday" }), null);
  });

  it("prints a line for each finding, and their count", () => {
    const bad = { level: "fail", check: "x", found: "it is broken", advice: "repair it" } as const;
    assert.equal(findingLine(bad), "fail     it is broken — repair it");
    assert.equal(findingLine({ level: "ok", check: "x", found: "it works" }), "ok       it works");
    assert.equal(countLine([bad, bad]), "0 ok, 0 warn, 2 fail, 0 unknown");
    assert.equal(namesLine(["a", "b", "c"], 2), "a, b and 1 more");
  });
});
