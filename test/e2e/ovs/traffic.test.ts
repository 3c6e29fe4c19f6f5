/** Traffic of real kernels over three hosts: as on a physical network, whether it is traced or not. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { endChild, run, VmNamespace } from "#adapters/testbed";
import { type DeviceKind, eventually, type LabTrace, skipWithoutLab, TestLab, timed } from "../../support/real-lab.ts";
import { VmWatch } from "../../support/vm-watch.ts";

const UDP_SCRIPT = join(import.meta.dirname, "../../support/vm-udp.py");
const FILE_BYTES = 100_000_000;
const SMALL_FILE_BYTES = 2_000_000;
const WEB_PORT = 8000;
/** Of the underlay, less 50 of VXLAN over IPv4. */
const OVERLAY_MTU = 1450;
const [N1, N2, N3, F2, F3] = ["traf-n1", "traf-n2", "traf-n3", "traf-f2", "traf-f3"] as const;
const [O1, O2, O3] = ["traf-o1", "traf-o2", "traf-o3"] as const;
const NEAR = [N1, N2, N3];
const ALL = [...NEAR, F2, F3, O1, O2, O3];

/** Two networks with two routers in a row between them, and one that nobody else has a way to. */
const PLAN = {
  topology: `
hosts: [{ name: a }, { name: b }, { name: c }]
tunnelZones: [{ name: zone, type: vxlan, hosts: { a: 192.0.2.1, b: 192.0.2.2, c: 192.0.2.3 } }]
bridges:
  - name: near
    ports:
      - { name: n1, bind: { host: a, interface: n1 } }
      - { name: n2, bind: { host: b, interface: n2 } }
      - { name: n3, bind: { host: c, interface: n3 } }
      - { name: late, bind: { host: b, interface: late } }
      - { name: router, link: r1/near }
  - name: far
    ports:
      - { name: f2, bind: { host: b, interface: f2 } }
      - { name: f3, bind: { host: c, interface: f3 } }
      - { name: router, link: r2/far }
  - name: other
    ports:
      - { name: o1, bind: { host: a, interface: o1 } }
      - { name: o2, bind: { host: b, interface: o2 } }
      - { name: o3, bind: { host: c, interface: o3 } }
routers:
  - name: r1
    ports: [{ name: near, address: 10.8.1.1/24 }, { name: r2, address: 10.9.0.1/30, link: r2/r1 }]
    routes:
      - { type: Normal, dst: 10.8.1.0/24, port: near }
      - { type: Normal, dst: 10.9.0.0/30, port: r2 }
      - { type: Normal, dst: 10.8.2.0/24, port: r2, gateway: 10.9.0.2 }
  - name: r2
    ports: [{ name: far, address: 10.8.2.1/24 }, { name: r1, address: 10.9.0.2/30 }]
    routes:
      - { type: Normal, dst: 10.8.2.0/24, port: far }
      - { type: Normal, dst: 10.9.0.0/30, port: r1 }
      - { type: Normal, dst: 10.8.1.0/24, port: r1, gateway: 10.9.0.1 }
`,
  vms: `
vms:
  - { name: ${N1}, port: near/n1, mac: "02:00:0a:08:01:0a", ip: 10.8.1.10/24, gateway: 10.8.1.1 }
  - { name: ${N2}, port: near/n2, mac: "02:00:0a:08:01:0b", ip: 10.8.1.11/24, gateway: 10.8.1.1 }
  - { name: ${N3}, port: near/n3, mac: "02:00:0a:08:01:0c", ip: 10.8.1.12/24, gateway: 10.8.1.1 }
  - { name: ${F2}, port: far/f2, mac: "02:00:0a:08:02:0b", ip: 10.8.2.11/24, gateway: 10.8.2.1 }
  - { name: ${F3}, port: far/f3, mac: "02:00:0a:08:02:0c", ip: 10.8.2.12/24, gateway: 10.8.2.1 }
  - { name: ${O1}, port: other/o1, mac: "02:00:0a:08:01:1a", ip: 10.8.1.10/24 }
  - { name: ${O2}, port: other/o2, mac: "02:00:0a:08:01:1b", ip: 10.8.1.11/24 }
  - { name: ${O3}, port: other/o3, mac: "02:00:0a:08:01:1c", ip: 10.8.1.12/24 }
`,
};

interface IperfSum {
  readonly start: number;
  readonly packets: number;
  readonly lost_packets: number;
}

interface IperfResult {
  readonly end: { readonly sum: IperfSum };
  readonly server_output_json: { readonly intervals: readonly { readonly sum: IperfSum }[] };
}

const TRACED: readonly `${DeviceKind} ${string}`[] = [
  "bridge near",
  "bridge far",
  "bridge other",
  "router r1",
  "router r2",
];

describe("traffic over three hosts", {
  skip: skipWithoutLab("curl", "iperf3", "ping", "python3", "traceroute", "tshark"),
}, () => {
  let lab: TestLab;
  let watch: VmWatch;
  let files: string;

  before(async () => {
    lab = await TestLab.start(PLAN);
    files = await lab.lab.testbed.directory("files");
    for (const [name, size] of [
      ["file", FILE_BYTES],
      ["small", SMALL_FILE_BYTES],
    ] as const)
      await run("bash", ["-c", `head -c ${size} /dev/urandom > ${join(files, name)}`]);
    // Kernels answer a few datagrams to closed ports only, and then one each second.
    for (const name of ALL) await lab.exec(name, "sysctl", "-q", "net.ipv4.icmp_ratelimit=0");
    // Every host knows every device from now on.
    await lab.acquaint([N1, F3], [N2, F2], [N3, F2], [O1, O2], [O2, O3], [O3, O1]);
    const server = ["-m", "http.server", "-d", files, String(WEB_PORT)];
    await lab.vm(F3).spawn("python3", server);
    await eventually(async () => {
      const answer = await lab.exec(F3, "curl", "-sfI", `http://127.0.0.1:${WEB_PORT}/small`).catch(() => null);
      assert.notEqual(answer, null);
    });
    watch = await VmWatch.start(Object.fromEntries(ALL.map((name) => [name, lab.vm(name).namespace])));
  });
  after(async () => {
    await watch?.stop();
    assert.deepEqual(lab?.complaints ?? [], []);
    await lab?.stop();
  });

  for (const tracing of [false, true]) {
    describe(tracing ? "traced on every device" : "not traced", () => {
      const traces: LabTrace[] = [];

      before(async () => {
        for (const device of tracing ? TRACED : []) {
          const trace = await lab.trace(device, "any");
          traces.push(trace);
          await trace.enable("a", "b", "c");
        }
      });
      after(async () => {
        for (const trace of traces) await trace.delete();
      });

      it("TCP: 100 MB through two routers arrive unchanged", async (t) => {
        const url = `http://${lab.ip(F3)}:${WEB_PORT}/file`;
        const { stdout } = await timed(t, "100 MB", () =>
          lab.exec(N1, "bash", "-o", "pipefail", "-c", `curl -sf --max-time 55 ${url} | sha256sum`),
        );
        assert.equal(stdout.split(" ")[0], (await run("sha256sum", [join(files, "file")])).stdout.split(" ")[0]);
      });

      it("UDP: iperf3 loses nothing", async (t) => {
        const server = await lab.vm(F2).spawn("iperf3", ["-s", "-1", "-J"]);
        try {
          await eventually(async () => {
            const { stdout } = await lab.exec(F2, "ss", "-Hltn");
            assert.match(stdout, /:5201 /);
          });
          const overrunBefore = await overrun(F2);
          const client = ["-u", "-b", "4M", "-t", "2", "-i", "0.1", "-J", "--get-server-output", "-c", lab.ip(F2)];
          const { stdout } = await lab.exec(N3, "iperf3", ...client);
          const { end, server_output_json: there } = JSON.parse(stdout) as IperfResult;
          // What reached the VM while its server had no processor time was not lost by the network.
          const late = (await overrun(F2)) - overrunBefore;
          t.diagnostic(`${end.sum.packets} datagrams, ${end.sum.lost_packets} lost, ${late} of them in the VM`);
          assert.ok(end.sum.packets > 500);
          const when = there.intervals.map((i) => i.sum).filter((i) => i.lost_packets > 0);
          assert.equal(end.sum.lost_packets - late, 0, JSON.stringify(when));
        } finally {
          await endChild(server);
        }
      });

      for (const method of ["UDP", "ICMP"] as const) {
        it(`traceroute by ${method} shows both routers, three times each`, async () => {
          const how = method === "ICMP" ? ["-I"] : [];
          const { stdout } = await lab.exec(
            N1,
            "traceroute",
            ...how,
            "-n",
            "-q",
            "3",
            "-w",
            "5",
            "-m",
            "5",
            lab.ip(F3),
          );
          const hops = stdout.split("\n").slice(1, -1);
          assert.deepEqual(
            hops.map((line) => line.replaceAll(/ +[\d.]+ ms/g, " ms").trim()),
            ["10.8.1.1", "10.9.0.2", lab.ip(F3)].map((hop, i) => `${i + 1}  ${hop} ms ms ms`),
          );
        });
      }

      it("UDP to a closed port is refused by the VM, to an open one answered", async () => {
        const udp = async (to: string, port: number): Promise<string> =>
          (await lab.exec(N1, "python3", UDP_SCRIPT, "echo", to, String(port), "20", "21")).stdout;
        assert.equal(await udp(lab.ip(F3), 9), "20 ConnectionRefusedError\n21 ConnectionRefusedError\n");
        assert.equal(await udp(lab.ip(N3), 9), "20 ConnectionRefusedError\n21 ConnectionRefusedError\n");
        assert.equal(await udp(lab.ip(F3), 7), "20 back\n21 back\n");
      });

      describe("VMs with an MTU of 1500 over an underlay of 1500", () => {
        const big = [N1, N2, F2, F3];
        const withMtu = (mtu: number) => async () => {
          for (const name of big) await lab.vm(name).namespace.ip(`link set eth0 mtu ${mtu}`, "route flush cache");
        };
        before(withMtu(1500));
        after(withMtu(OVERLAY_MTU));

        /** What `ping` says of an echo request of 1500 bytes that may not be fragmented. */
        const biggest = async (from: string, to: string): Promise<string> => {
          const line = `ping -n -c 1 -W 5 -M do -s 1472 ${to} 2>&1 || true`;
          return (await lab.exec(from, "bash", "-c", line)).stdout;
        };

        it("too big for the tunnel behind routers: the router says so, with the MTU, and the kernel believes it", async () => {
          const told = await biggest(N1, lab.ip(F3));
          const [, teller, mtu] = /^From (\S+) icmp_seq=1 Frag needed and DF set \(mtu = (\d+)\)$/m.exec(told) ?? [];
          assert.ok(teller !== undefined, told);
          assert.ok(["10.8.1.1", "10.9.0.2"].includes(teller), told);
          assert.equal(Number(mtu), OVERLAY_MTU);
          assert.match(await biggest(N1, lab.ip(F3)), /message too long, mtu=1450/i);
          await lab.ping(N1, lab.ip(F3), "-c", "1", "-M", "do", "-s", "1422");
        });

        it("too big for the tunnel on one bridge: the error bears the other VM's address", async () => {
          const told = await biggest(N1, lab.ip(N2));
          assert.match(
            told,
            new RegExp(`^From ${lab.ip(N2)} icmp_seq=1 Frag needed and DF set \\(mtu = 1450\\)$`, "m"),
          );
          await lab.ping(N1, lab.ip(N2), "-c", "1", "-M", "do", "-s", "1422");
        });

        it("what stays on one host is not too big", async () => {
          await lab.ping(N2, lab.ip(F2), "-c", "2", "-i", "0.2", "-M", "do", "-s", "1472");
        });

        it("TCP finds its way", async (t) => {
          for (const name of big) await lab.vm(name).namespace.ip("route flush cache");
          const url = `http://${lab.ip(F3)}:${WEB_PORT}/small`;
          const { stdout } = await timed(t, "2 MB", () =>
            lab.exec(N1, "bash", "-o", "pipefail", "-c", `curl -sf --max-time 55 ${url} | sha256sum`),
          );
          assert.equal(stdout.split(" ")[0], (await run("sha256sum", [join(files, "small")])).stdout.split(" ")[0]);
        });

        for (const [way, to] of [
          ["behind routers", F3],
          ["on one bridge", N2],
        ] as const) {
          it(`UDP that may be fragmented arrives whole ${way}, also after small datagrams made a flow`, async () => {
            const sizes = [100, 1422, 1423, 1472, 1473, 8000, 1472];
            const listener = await lab.vm(to).spawn("python3", [UDP_SCRIPT, "listen", "5000", String(sizes.length)], {
              stdio: ["ignore", "pipe", "inherit"],
            });
            let heard = "";
            listener.stdout?.on("data", (chunk: Buffer) => (heard += chunk.toString()));
            try {
              await eventually(async () => assert.match(heard, /^ready\n/));
              for (const size of sizes)
                await lab.exec(N1, "python3", UDP_SCRIPT, "bare", lab.ip(to), "5000", String(size));
              const expected = ["ready", ...sizes.map((n) => `${lab.ip(N1)} ${n} whole`)].toSorted();
              await eventually(async () => assert.deepEqual(heard.trimEnd().split("\n").toSorted(), expected));
            } finally {
              await endChild(listener);
            }
          });
        }
      });

      for (const [what, address] of [
        ["broadcast", "10.8.1.255"],
        ["multicast", "239.8.1.1"],
      ] as const) {
        it(`${what}: every VM of the bridge gets each datagram once, nobody else any`, () =>
          watch.during(async () => {
            const cast = (text: string): Promise<unknown> =>
              lab.exec(N1, "python3", UDP_SCRIPT, "cast", address, "5001", text, "3");
            await cast(what);
            await cast(`${what}-end`);
            for (const name of [N2, N3]) await watch.until(name, `<${what}-end-2>`);
            await lab.acquaint([N1, F2], [N1, F3], [O1, O2], [O2, O3], [O3, O1]);
            const counts: Record<string, number[]> = {};
            for (const name of ALL) {
              const of = [0, 1, 2].map(async (i) => (await watch.with(name, `<${what}-${i}>`)).length);
              counts[name] = await Promise.all(of);
            }
            const nobody = Object.fromEntries(ALL.map((name) => [name, [0, 0, 0]]));
            assert.deepEqual(counts, { ...nobody, [N2]: [1, 1, 1], [N3]: [1, 1, 1] });
          }));
      }

      it("VLAN-tagged frames cross a bridge with their tags; each VLAN has its own MAC table", () =>
        watch.during(async () => {
          const tags = { 42: "8100202a", 43: "8100002b", double: "88a8000781000008" } as const;
          for (const [name, tag] of Object.entries(tags)) {
            const toAll = `<${name}-all-${tracing}>`;
            const back = `<${name}-back-${tracing}>`;
            watch.send(O1, tagged("ffffffffffff", "02000a08011a", tag, toAll));
            for (const vm of [O2, O3]) {
              const frame = await watch.until(vm, toAll);
              assert.equal(
                frame
                  .subarray(0, 20)
                  .toString("hex")
                  .slice(0, 24 + tag.length),
                `ffffffffffff02000a08011a${tag}`,
              );
            }
            // Where O1 is in this VLAN is known on its own host first, and told to the others by the store.
            await eventually(async () => {
              const text = `${back}${Math.random()}`;
              watch.send(O2, tagged("02000a08011a", "02000a08011b", tag, text));
              await watch.until(O1, text);
              assert.equal((await watch.with(O3, text)).length, 0, "O3 is not flooded any more");
            });
            for (const vm of [...NEAR, F2, F3]) assert.equal((await watch.with(vm, `<${name}-`)).length, 0, vm);
            for (const vm of [O2, O3]) assert.equal((await watch.with(vm, toAll)).length, 1, vm);
            assert.equal((await watch.with(O1, toAll)).length, 0);
          }
        }));

      it("ARP across hosts", async () => {
        await lab.vm(N1).namespace.ip("neigh flush dev eth0");
        await lab.acquaint([N1, N2], [N1, N3], [N1, F3]);
        const { stdout } = await lab.exec(N1, "ip", "neigh", "show", "dev", "eth0");
        const { records } = lab.lab;
        const gateway = records?.ports.find((p) => p.id === lab.port("r1/near").id);
        assert.ok(gateway?.type === "Router");
        const known = Object.fromEntries([...stdout.matchAll(/^(\S+) lladdr (\S+)/gm)].map((m) => [m[1], m[2]]));
        assert.deepEqual(known, {
          [lab.ip(N2)]: "02:00:0a:08:01:0b",
          [lab.ip(N3)]: "02:00:0a:08:01:0c",
          "10.8.1.1": gateway.portMac,
        });
      });

      it("an interface that vanishes takes nobody with it, and works again when it is back", async (t) => {
        await lab.vm(N3).detach();
        await assert.rejects(lab.ping(N1, lab.ip(N3), "-c", "1", "-W", "1"));
        await lab.acquaint([N1, N2], [N1, F3]);
        await lab.vm(N3).attach();
        await timed(t, "back after", () => reachable(N1, lab.ip(N3)));
        await lab.acquaint([N3, N1], [N3, F2], [F3, N3]);
      });

      it("an interface that appears long after its binding works", async (t) => {
        const name = tracing ? "late-traced" : "late";
        const host = lab.host("b").machine;
        const address = { mac: "02:00:0a:08:01:63", address: "10.8.1.99/24", gateway: "10.8.1.1" };
        const options = { name, host, interfaceName: "late", ...address };
        const vm = await VmNamespace.create(lab.lab.testbed, options);
        await timed(t, "reached after", () => reachable(N1, "10.8.1.99"));
        await vm.exec("ping", ["-n", "-c", "1", "-W", "5", lab.ip(F3)]);
        await vm.detach();
      });

      if (tracing)
        it("every trace of all this is whole", async (t) => {
          for (const trace of traces) {
            await eventually(async () => {
              const flows = await trace.flows();
              const broken = flows.filter((f) => f.completeness.state !== "complete");
              assert.ok(flows.length > 0);
              assert.deepEqual(
                broken.map((f) => [f.key, f.verdict, f.completeness, f.segments.map((s) => s.hostName)]),
                [],
              );
            });
            t.diagnostic(`${(await trace.flows()).length} flow traces`);
          }
        });
    });
  }

  /** Datagrams that a VM's kernel got and had no room for in the receiver's buffer. */
  const overrun = async (vm: string): Promise<number> => {
    const { stdout } = await lab.exec(vm, "cat", "/proc/net/snmp");
    const [names = "", values = ""] = stdout.split("\n").filter((line) => line.startsWith("Udp: "));
    return Number(values.split(" ")[names.split(" ").indexOf("RcvbufErrors")]);
  };

  const reachable = (from: string, to: string): Promise<void> =>
    eventually(async () => {
      const answer = await lab.ping(from, to, "-c", "1", "-W", "1").catch(() => null);
      assert.notEqual(answer, null);
    });
});

/** A frame of an ethertype for experiments (IEEE 802), behind tags as hex. */
function tagged(to: string, from: string, tags: string, text: string): Uint8Array {
  return Buffer.concat([Buffer.from(`${to}${from}${tags}88b5`, "hex"), Buffer.from(text.padEnd(46))]);
}
