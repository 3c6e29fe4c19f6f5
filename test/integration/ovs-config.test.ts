import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { OvsSwitchConfig } from "#adapters/datapath-ovs";
import { systemClock, systemScheduler } from "#adapters/platform";
import type { Testbed } from "#adapters/testbed";
import type { DatapathPort } from "#core/datapath";
import { parseIpv4 } from "#core/packets";
import { type OvsTestHost, ovsTestbed, skipWithoutOvs, soon } from "../support/ovs-testbed.ts";

const TUNNEL = "midotrace-vxlan";

/** One configuration at work, with everything it said. */
class Station {
  readonly config: OvsSwitchConfig;
  readonly sockets: string[] = [];
  readonly ports = new Map<string, DatapathPort>();
  readonly said: string[] = [];
  readonly lines: string[] = [];

  constructor(host: OvsTestHost, bridge = "br-int") {
    this.config = new OvsSwitchConfig({
      clock: systemClock,
      scheduler: systemScheduler,
      log: (level, message) => this.lines.push(`${level} ${message}`),
      runDir: host.host.runDir,
      bridge,
      tunnelIp: ip(host.host.tunnelIp),
      datapath: "auto",
      network: host.network(),
    });
    this.config.listen({
      bridgeReady: (socket) => {
        this.said.push("ready");
        this.sockets.push(socket);
      },
      bridgeTaken: () => this.said.push("taken"),
      portChanged: (name, port) => {
        this.said.push(port === null ? `${name} gone` : `${name} ${port.up ? "up" : "down"}`);
        if (port === null) this.ports.delete(name);
        else this.ports.set(name, port);
      },
    });
  }

  /** Everything is as it is to be, and nothing is on its way. */
  settled(): Promise<void> {
    return soon(() => assert.deepEqual(this.config.waitingFor(), []));
  }

  has(name: string): Promise<DatapathPort> {
    return soon(() => {
      const port = this.ports.get(name);
      assert.ok(port?.up, `port ${name} is up`);
      return port;
    });
  }

  gone(name: string): Promise<void> {
    return soon(() => assert.ok(!this.ports.has(name), `port ${name} is gone`));
  }

  /** Lines of the log that tell of a change to the database. */
  get changes(): string[] {
    return this.lines.filter((line) => /info (add|delete|set|repair|note|switch off)/.test(line));
  }
}

const ip = (dotted: string): number => parseIpv4(dotted) ?? 0;

describe("configuration of a real Open vSwitch", { skip: skipWithoutOvs() }, () => {
  let testbed: Testbed;
  let a: OvsTestHost;
  let b: OvsTestHost;

  before(async () => {
    ({ testbed, a, b } = await ovsTestbed());
  });
  after(() => testbed.close());

  const vsctl = async (host: OvsTestHost, ...args: string[]): Promise<string> =>
    (await host.host.daemons.vsctl(args)).stdout.trim();

  /** A fresh bridge, one configuration started on it; both go afterwards, and so do the devices made. */
  async function station(act: (s: Station, device: (name: string) => Promise<void>) => Promise<void>): Promise<void> {
    const s = new Station(a);
    const devices = new Set<string>();
    try {
      await s.config.start();
      await act(s, async (name) => {
        devices.add(name);
        await a.addDevice(name);
      });
    } finally {
      await s.config.stop();
      await vsctl(a, "--if-exists", "del-br", "br-int");
      for (const name of devices) await a.removeDevice(name).catch(() => undefined);
    }
  }

  it("makes the bridge and the tunnel port, and says which datapath it chose", () =>
    station(async (s) => {
      const columns = "datapath_type,fail_mode,protocols,external_ids";
      const bridge = JSON.parse(await vsctl(a, "-f", "json", `--columns=${columns}`, "list", "Bridge", "br-int"));
      assert.deepEqual(bridge.data, [["netdev", "secure", "OpenFlow13", ["map", [["midotrace-owner", "br-int"]]]]]);
      assert.equal(
        await vsctl(a, "get", "Interface", TUNNEL, "options"),
        '{key=flow, local_ip="192.168.10.1", remote_ip=flow}',
      );
      assert.deepEqual((await s.has(TUNNEL)).kind, "tunnel");
      assert.deepEqual(s.sockets, [`${a.host.runDir}/br-int.mgmt`]);
      assert.equal(s.config.datapathType, "netdev");
      assert.ok(s.lines.some((line) => line.startsWith("info userspace datapath (netdev): ")));
      await s.settled();
      // A second look finds nothing to do.
      assert.equal(s.said.length, 2);
    }));

  it("a bound interface may not exist yet, vanish, and come back as another device", () =>
    station(async (s, device) => {
      s.config.bindInterfaces(["t1", "t2"]);
      await s.settled();
      assert.ok(!s.ports.has("t1"), "what does not exist is no port, and nothing to wait for");
      await device("t1");
      const first = await s.has("t1");
      assert.equal(first.kind, "vm");
      assert.equal(await vsctl(a, "get", "Interface", "t1", "ofport"), String(first.ofport));
      await a.removeDevice("t1");
      await s.gone("t1");
      await soon(async () => assert.equal(await vsctl(a, "--if-exists", "get", "Port", "t1", "name"), ""));
      await a.addDevice("t1");
      const second = await s.has("t1");
      assert.notEqual(second.ofport, first.ofport, "a number is not used again for another device");
    }));

  /** What the switch puts out of the port arrives at the other end of `name`'s cable. */
  async function delivers(name: string, ofport: number): Promise<void> {
    const got: Uint8Array[] = [];
    const id = await a.frames.open(`${name}p`, (frame) => got.push(frame));
    const packet = `in_port=controller,packet=${FRAME_HEX},actions=output:${ofport}`;
    await a.host.daemons.ofctl("packet-out", "br-int", packet);
    await soon(() => assert.equal(Buffer.from(got[0] ?? []).toString("hex"), FRAME_HEX));
    a.frames.close(id);
  }

  /** Within one call of ip(8): much faster than anybody looks. */
  const exchange = (name: string): Promise<void> =>
    a.host.namespace.ip(
      `link delete ${name}`,
      `link add ${name} type veth peer name ${name}p`,
      `link set ${name}p up`,
      `link set ${name} up`,
    );

  it("an exchanged device of the same name is noticed, and its port works", () =>
    station(async (s, device) => {
      await device("t1");
      s.config.bindInterfaces(["t1"]);
      const first = await s.has("t1");
      await exchange("t1");
      await soon(() => assert.notEqual(s.ports.get("t1")?.ofport ?? first.ofport, first.ofport));
      assert.ok(s.said.includes("t1 gone"));
      await delivers("t1", (await s.has("t1")).ofport);
    }));

  it("also when the daemon is too busy to see the old port go before the new one comes", () =>
    station(async (s, device) => {
      await device("t1");
      s.config.bindInterfaces(["t1"]);
      const first = await s.has("t1");
      const pid = a.host.daemons.switchPid ?? 0;
      process.kill(pid, "SIGSTOP");
      try {
        await exchange("t1");
        await s.gone("t1");
        // Whatever else is seen to change meanwhile is no reason to go on.
        await vsctl(a, "--no-wait", "set", "Bridge", "br-int", "protocols=OpenFlow10");
        await vsctl(a, "--no-wait", "set", "Bridge", "br-int", "external_ids:seen=1");
      } finally {
        process.kill(pid, "SIGCONT");
      }
      await soon(() => assert.notEqual(s.ports.get("t1")?.ofport ?? first.ofport, first.ofport));
      await s.settled();
      await delivers("t1", (await s.has("t1")).ofport);
    }));

  it("a renamed interface leaves under one name and comes under the other", () =>
    station(async (s, device) => {
      await device("t1");
      s.config.bindInterfaces(["t1", "t2"]);
      await s.has("t1");
      await a.host.namespace.ip("link set t1 down", "link set t1 name t2", "link set t2 up");
      await s.gone("t1");
      await s.has("t2");
      await a.host.namespace.ip("link delete t2");
      await s.gone("t2");
    }));

  it("says when an interface goes down and up", () =>
    station(async (s, device) => {
      await device("t1");
      s.config.bindInterfaces(["t1"]);
      const { ofport } = await s.has("t1");
      await a.host.namespace.ip("link set t1p down");
      await soon(() => assert.deepEqual(s.ports.get("t1"), { ofport, name: "t1", kind: "vm", up: false }));
      await a.host.namespace.ip("link set t1p up");
      assert.equal((await s.has("t1")).ofport, ofport);
    }));

  it("ports of ours that are not bound any more go; ports of others stay", () =>
    station(async (s, device) => {
      for (const name of ["t1", "t2", "x1"]) await device(name);
      await vsctl(a, "add-port", "br-int", "x1");
      s.config.bindInterfaces(["t1", "t2"]);
      await s.has("t1");
      await s.has("t2");
      s.config.bindInterfaces(["t2"]);
      await s.gone("t1");
      await soon(async () => assert.equal(await vsctl(a, "list-ports", "br-int"), `${TUNNEL}\nt2\nx1`));
      assert.ok(!s.said.some((line) => line.startsWith("x1")), "nobody asked for it");
      s.config.bindInterfaces(["t2", "x1"]);
      await s.has("x1");
      s.config.bindInterfaces([]);
      await s.gone("x1");
      await s.gone("t2");
      await soon(async () => assert.equal(await vsctl(a, "list-ports", "br-int"), `${TUNNEL}\nx1`));
    }));

  it("an agent that starts again finds everything right and touches nothing", () =>
    station(async (s, device) => {
      for (const name of ["t1", "t2"]) await device(name);
      s.config.bindInterfaces(["t1", "t2"]);
      const before = [await s.has("t1"), await s.has("t2")];
      await s.settled();
      await s.config.stop();
      await a.host.daemons.ofctl("add-flow", "br-int", "cookie=7,priority=9,ip,actions=drop");
      const ids = async (): Promise<string> => await vsctl(a, "--columns=_uuid,ofport", "list", "Interface");
      const [idsBefore, flows] = [await ids(), await a.host.daemons.ofctl("dump-flows", "br-int")];
      assert.match(flows.stdout, /cookie=0x7/);
      const again = new Station(a);
      try {
        await again.config.start();
        assert.deepEqual([again.ports.get("t1"), again.ports.get("t2")], before, "known before anything is bound");
        again.config.bindInterfaces(["t1", "t2"]);
        await again.settled();
        // Something that comes after a look at everything: had it found anything to do, it would have been done.
        await a.addDevice("t3");
        again.config.bindInterfaces(["t1", "t2", "t3"]);
        await again.has("t3");
        assert.deepEqual(again.changes, ["info add port t3"]);
        assert.equal(again.said.filter((line) => line.startsWith("t1")).length, 1);
        again.config.bindInterfaces(["t1", "t2"]);
        await again.gone("t3");
        await soon(async () => assert.equal(await ids(), idsBefore));
        assert.match((await a.host.daemons.ofctl("dump-flows", "br-int")).stdout, /cookie=0x7/);
      } finally {
        await again.config.stop();
        await a.removeDevice("t3");
      }
    }));

  it("devices that were exchanged while no agent was there are noticed by the next one", () =>
    station(async (s, device) => {
      for (const name of ["t1", "t2"]) await device(name);
      s.config.bindInterfaces(["t1", "t2"]);
      await s.has("t1");
      await s.has("t2");
      await s.settled();
      await s.config.stop();
      await a.removeDevice("t1");
      await a.addDevice("t1");
      await a.removeDevice("t2");
      const again = new Station(a);
      try {
        await again.config.start();
        again.config.bindInterfaces(["t1", "t2"]);
        await soon(() => assert.ok(again.changes.includes("info add port t1")));
        await again.has("t1");
        await again.gone("t2");
        assert.equal(await vsctl(a, "list-ports", "br-int"), `${TUNNEL}\nt1`);
      } finally {
        await again.config.stop();
      }
    }));

  it("repairs the tunnel port when somebody edits or deletes it", () =>
    station(async (s) => {
      const right = async (): Promise<void> => {
        await soon(async () => {
          const columns = "--columns=type,options,ofport,ofport_request";
          const row = JSON.parse(await vsctl(a, "-f", "json", columns, "list", "Interface", TUNNEL)).data[0];
          const options = [
            ["key", "flow"],
            ["local_ip", "192.168.10.1"],
            ["remote_ip", "flow"],
          ];
          // The switch may stay with a number it has given meanwhile: what counts is that we know which.
          assert.deepEqual(row, ["vxlan", ["map", options], s.ports.get(TUNNEL)?.ofport, 65_000]);
        });
        await s.settled();
        assert.ok((await s.has(TUNNEL)).up);
      };
      await right();
      await vsctl(a, "--no-wait", "set", "Interface", TUNNEL, "options:remote_ip=1.2.3.4", "options:df_default=false");
      await right();
      await vsctl(a, "--no-wait", "set", "Interface", TUNNEL, "type=gre");
      await right();
      await vsctl(a, "--no-wait", "set", "Interface", TUNNEL, "ofport_request=77");
      await right();
      await vsctl(a, "--no-wait", "del-port", "br-int", TUNNEL);
      await soon(() => assert.ok(s.said.includes(`${TUNNEL} gone`)));
      await right();
    }));

  it("makes a deleted bridge again, with everything on it, and says that it began anew", () =>
    station(async (s, device) => {
      await device("t1");
      s.config.bindInterfaces(["t1"]);
      await s.has("t1");
      s.said.length = 0;
      await vsctl(a, "--no-wait", "del-br", "br-int");
      await soon(() => assert.ok(s.said.includes("ready")));
      await s.has("t1");
      await s.has(TUNNEL);
      assert.ok(s.said.indexOf("t1 gone") < s.said.indexOf("ready"), "ports of the old bridge go first");
      assert.ok(s.said.indexOf("ready") < s.said.indexOf("t1 up"));
      await s.settled();
      await vsctl(a, "--no-wait", "set", "Bridge", "br-int", "fail_mode=standalone", "protocols=OpenFlow10");
      await soon(async () => {
        const now = await vsctl(a, "get", "Bridge", "br-int", "fail_mode", "protocols");
        assert.equal(now, "secure\n[OpenFlow10, OpenFlow13]");
      });
    }));

  it("does not take over a bridge that somebody else's controller drives", async () => {
    await vsctl(a, "add-br", "br-other", "--", "set", "Bridge", "br-other", "datapath_type=netdev");
    await vsctl(a, "set-controller", "br-other", "tcp:127.0.0.1:6653");
    const s = new Station(a, "br-other");
    const started = s.config.start();
    try {
      await soon(() =>
        assert.match(s.config.waitingFor().join(), /^bridge br-other, which somebody else's controller/),
      );
      assert.equal(await vsctl(a, "get", "Bridge", "br-other", "fail_mode", "external_ids"), "[]\n{}");
      await vsctl(a, "del-controller", "br-other");
      await started;
      assert.equal(await vsctl(a, "get", "Bridge", "br-other", "fail_mode"), "secure");
    } finally {
      await s.config.stop();
      await vsctl(a, "del-br", "br-other");
    }
  });

  it("two agents on one bridge: the second waits and says so, also over a restart of the database", () =>
    station(async (s, device) => {
      await device("t1");
      s.config.bindInterfaces(["t1"]);
      await s.has("t1");
      await s.settled();
      const second = new Station(a);
      const starting = second.config.start();
      try {
        second.config.bindInterfaces([]);
        const waits = (): Promise<void> =>
          soon(() => assert.match(second.config.waitingFor().join(), /^another agent to leave bridge br-int/));
        await waits();
        assert.ok(second.lines.includes("error another agent drives the bridge; waiting until it leaves"));
        const { daemons } = a.host;
        await daemons.killDatabase();
        await daemons.startDatabase();
        await waits();
        await s.settled();
        assert.deepEqual(second.said, []);
        assert.ok(!s.said.includes("taken") && s.ports.has("t1"));
        await s.config.stop();
        await starting;
        assert.match(second.changes.join("; "), /^info delete port t1 \(it is not bound/);
      } finally {
        await second.config.stop();
      }
    }));

  it("ovs-vswitchd killed and started: ready again, and only what differs is said of ports", () =>
    station(async (s, device) => {
      for (const name of ["t1", "t2"]) await device(name);
      s.config.bindInterfaces(["t1", "t2"]);
      await s.has("t1");
      await s.has("t2");
      await s.settled();
      s.said.length = 0;
      await a.host.daemons.killSwitch();
      await soon(() => assert.match(s.config.waitingFor().join(), /ovs-vswitchd to run/));
      // Exchanged while nobody switches.
      await a.removeDevice("t2");
      await a.addDevice("t2");
      await a.host.startSwitch();
      await soon(() => assert.ok(s.said.includes("ready")));
      await soon(() => assert.ok(s.said.includes("t2 up")));
      await s.settled();
      assert.ok(!s.said.some((line) => line.startsWith("t1")), `t1 is what it was: ${s.said.join(", ")}`);
      for (const name of ["t1", "t2"]) {
        assert.equal(await vsctl(a, "get", "Interface", name, "ofport"), String(s.ports.get(name)?.ofport));
      }
    }));

  it("ovsdb-server killed and started: nothing is said of ports, and changes go on", () =>
    station(async (s, device) => {
      await device("t1");
      s.config.bindInterfaces(["t1"]);
      await s.has("t1");
      await s.settled();
      s.said.length = 0;
      await a.host.daemons.killDatabase();
      await soon(() =>
        assert.deepEqual(s.config.waitingFor(), [
          `Open vSwitch's database at ${a.host.runDir}/db.sock (connection refused)`,
        ]),
      );
      await device("t2");
      s.config.bindInterfaces(["t1", "t2"]);
      await a.host.daemons.startDatabase();
      await s.has("t2");
      assert.deepEqual(s.said, ["t2 up"]);
      await s.settled();
    }));

  it("starts before the database and the daemon do, and says what it waits for", async () => {
    await a.host.crash();
    const s = new Station(a);
    const started = s.config.start();
    try {
      await soon(() =>
        assert.match(s.config.waitingFor().join(), /^Open vSwitch's database at .*\(connection refused\)/),
      );
      await a.host.daemons.startDatabase();
      await soon(() => assert.match(s.config.waitingFor().join(), /ovs-vswitchd/));
      await a.host.startSwitch();
      await started;
      await s.has(TUNNEL);
      await s.settled();
    } finally {
      await s.config.stop();
      await vsctl(a, "--if-exists", "del-br", "br-int");
    }
  });

  it("the longest frame follows the underlay's MTU; a missing tunnel address is said", () =>
    station(async (s) => {
      assert.equal(s.config.tunnelFrameLimit, 1464);
      await a.host.namespace.ip("link set br-phy mtu 1400");
      await soon(() => assert.equal(s.config.tunnelFrameLimit, 1364));
      await a.host.namespace.ip("link set br-phy mtu 1500", "address del 192.168.10.1/24 dev br-phy");
      await soon(() => assert.deepEqual(s.config.waitingFor(), ["an interface with the tunnel address 192.168.10.1"]));
      await a.host.namespace.ip("address add 192.168.10.1/24 dev br-phy");
      await s.settled();
      await soon(() => assert.equal(s.config.tunnelFrameLimit, 1464));
    }));

  /** b passes everything of the tunnel on to its device t9; `frame` is put into a's tunnel towards b. */
  async function tunnel(
    act: (s: Station, got: Uint8Array[], send: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const peer = new Station(b);
    await b.addDevice("t9");
    try {
      await peer.config.start();
      peer.config.setPeers([ip(a.host.tunnelIp)]);
      peer.config.bindInterfaces(["t9"]);
      const out = (await peer.has("t9")).ofport;
      await b.host.daemons.ofctl(
        "add-flow",
        "br-int",
        `in_port=${(await peer.has(TUNNEL)).ofport},actions=output:${out}`,
      );
      const got: Uint8Array[] = [];
      const id = await b.frames.open("t9p", (frame) => got.push(frame));
      await station(async (s) => {
        const send = async (): Promise<void> => {
          const port = (await s.has(TUNNEL)).ofport;
          const actions = `set_field:0x2a->tun_id,set_field:${b.host.tunnelIp}->tun_dst,output:${port}`;
          const packet = `in_port=controller,packet=${FRAME_HEX},actions=${actions}`;
          await a.host.daemons.ofctl("packet-out", "br-int", packet);
        };
        await act(s, got, send);
      });
      b.frames.close(id);
    } finally {
      await peer.config.stop();
      await vsctl(b, "--if-exists", "del-br", "br-int");
      await b.removeDevice("t9");
    }
  }

  const knowsPeer = (): Promise<void> =>
    soon(async () => assert.match((await a.host.daemons.appctl(["tnl/neigh/show"])).stdout, /192\.168\.10\.2 /));

  /** Nobody knows the way to the peer: neither the kernel nor the switch. */
  async function forget(): Promise<void> {
    await a.host.namespace.exec("ip", ["neigh", "flush", "all"]);
    await a.host.daemons.appctl(["tnl/neigh/flush"]);
  }

  it("the first packet of a tunnel is not lost after a cold start: the peer is looked for as soon as it is known", () =>
    tunnel(async (s, got, send) => {
      await forget();
      s.config.setPeers([ip(b.host.tunnelIp)]);
      await knowsPeer();
      await send();
      await soon(() => assert.equal(Buffer.from(got[0] ?? []).toString("hex"), FRAME_HEX));
      assert.equal(got.length, 1);
    }));

  it("nor after a restart of ovs-vswitchd, from the moment that the bridge is said to be ready", () =>
    tunnel(async (s, got, send) => {
      s.config.setPeers([ip(b.host.tunnelIp)]);
      await knowsPeer();
      for (let round = 1; round <= 3; round++) {
        await a.host.daemons.killSwitch();
        await a.host.startSwitch();
        await soon(() => assert.equal(s.sockets.length, 1 + round));
        await send();
        await soon(() => assert.equal(got.length, round));
      }
    }));

  it("a peer that comes back with another MAC is reached again", () =>
    tunnel(async (s, got, send) => {
      s.config.setPeers([ip(b.host.tunnelIp)]);
      await knowsPeer();
      await send();
      await soon(() => assert.equal(got.length, 1));
      const mac = (last: string): string => `02:50:c0:a8:0a:${last}`;
      await vsctl(b, "set", "Bridge", "br-phy", `other_config:hwaddr="${mac("77")}"`);
      await soon(async () => {
        assert.match((await b.host.namespace.exec("ip", ["link", "show", "br-phy"])).stdout, /:77 brd/);
      });
      // What the peer says of its own accord, or when it is asked.
      await b.host.namespace.exec("ping", ["-c", "1", "-W", "2", a.host.tunnelIp]);
      await soon(async () => {
        assert.match((await a.host.daemons.appctl(["tnl/neigh/show"])).stdout, /192\.168\.10\.2 +02:50:c0:a8:0a:77/);
      });
      await send();
      await soon(() => assert.equal(got.length, 2));
      await vsctl(b, "set", "Bridge", "br-phy", `other_config:hwaddr="${mac("02")}"`);
      await b.host.namespace.exec("ping", ["-c", "1", "-W", "2", a.host.tunnelIp]);
      await soon(async () => {
        assert.match((await a.host.daemons.appctl(["tnl/neigh/show"])).stdout, /192\.168\.10\.2 +02:50:c0:a8:0a:02/);
      });
    }));
});

/** Ethernet, ARP who-has 10.0.0.2 tell 10.0.0.1. */
const FRAME_HEX =
  "ffffffffffff" +
  "020000000001" +
  "0806" +
  "0001080006040001" +
  "020000000001" +
  "0a000001" +
  "000000000000" +
  "0a000002";
