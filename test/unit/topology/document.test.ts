import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MidotraceError } from "#core/base";
import { parseTopologyDocument, type TopologyDocument } from "#core/topology";
import * as fc from "fast-check";
import { parse } from "yaml";

const EXAMPLE = `
hosts:
  - name: h1
  - name: h2
    id: 10000000-0000-4000-8000-000000000002
tunnelZones:
  - name: tz
    hosts: { h1: 172.16.0.1, h2: 172.16.0.2 }
ipAddrGroups:
  - { name: Admins, addresses: [10.0.1.10, "fe80::1"] }
portGroups:
  - { name: g, tenant: red, ports: [web/p1] }
chains:
  - name: web-in
    tenant: red
    rules:
      - { type: accept, match: "tcp and dst port 80" }
      - { type: drop, condition: { ipAddrGroupSrc: Admins, invIpAddrGroupSrc: true, dlSrc: "2:0:0:0:0:1" } }
      - { type: jump, jump: other }
  - name: other
bridges:
  - name: web
    tenant: red
    inFilter: web-in
    ports:
      - { name: p1, bind: { host: h1, interface: tap1 } }
      - { name: p2, up: false, vlan: 10 }
      - { name: up, link: r1/p1 }
routers:
  - name: r1
    ports:
      - { name: p1, address: 10.0.1.1/24, mac: "ac:ca:ba:00:00:01" }
    routes:
      - { dst: 10.0.1.0/24, port: p1 }
      - { dst: 0.0.0.0/0, type: Reject, weight: 5 }
`;

const read = (yaml: string): TopologyDocument => parseTopologyDocument(parse(yaml));

/** "path: message" of each violation. */
function faults(yaml: string): string[] {
  try {
    read(yaml);
  } catch (e) {
    assert.ok(e instanceof MidotraceError && e.code === "VALIDATION", String(e));
    return e.violations.map((v) => `${v.property}: ${v.message}`);
  }
  return [];
}

describe("topology documents", () => {
  test("the example reads, with its defaults", () => {
    const d = read(EXAMPLE);
    assert.deepEqual(d.hosts, [{ name: "h1" }, { name: "h2", id: "10000000-0000-4000-8000-000000000002" }]);
    assert.deepEqual(d.tunnelZones, [{ name: "tz", type: "vxlan", hosts: { h1: "172.16.0.1", h2: "172.16.0.2" } }]);
    assert.deepEqual(d.portGroups, [{ name: "g", tenant: "red", stateful: false, ports: ["web/p1"] }]);
    assert.deepEqual(d.chains[0]?.rules, [
      { type: "accept", condition: { nwProto: 6, tpDst: { start: 80, end: 80 } } },
      { type: "drop", condition: { ipAddrGroupSrc: "Admins", invIpAddrGroupSrc: true, dlSrc: "02:00:00:00:00:01" } },
      { type: "jump", jump: "other", condition: {} },
    ]);
    assert.deepEqual(d.bridges[0], {
      name: "web",
      tenant: "red",
      up: true,
      inFilter: "web-in",
      ports: [
        { name: "p1", up: true, bind: { host: "h1", interface: "tap1" }, vlan: 0 },
        { name: "p2", up: false, vlan: 10 },
        { name: "up", up: true, link: "r1/p1", vlan: 0 },
      ],
    });
    assert.deepEqual(d.routers[0], {
      name: "r1",
      tenant: "",
      up: true,
      ports: [{ name: "p1", up: true, address: "10.0.1.1/24", mac: "ac:ca:ba:00:00:01" }],
      routes: [
        { type: "Normal", src: "0.0.0.0/0", dst: "10.0.1.0/24", port: "p1", weight: 100 },
        { type: "Reject", src: "0.0.0.0/0", dst: "0.0.0.0/0", weight: 5 },
      ],
    });
  });

  test("an empty document is empty", () => {
    assert.deepEqual(read("").bridges, []);
    assert.deepEqual(read("bridges:\n").bridges, []);
  });

  const cases: readonly (readonly [string, string, RegExp])[] = [
    ["not a mapping", "- a", /^document: must be a mapping/],
    ["unknown key at the top", "bridgs: []", /^bridgs: unknown key; did you mean "bridges"\?/],
    [
      "unknown key inside",
      "bridges: [{ name: b, tennant: x }]",
      /^bridges\[0\]\.tennant: unknown key; did you mean "tenant"\?/,
    ],
    ["not a list", "bridges: { name: b }", /^bridges: must be a list/],
    ["no name", "bridges: [{ tenant: x }]", /^bridges\[0\]\.name: is missing/],
    [
      "a number for a name",
      "bridges: [{ name: 5 }]",
      /^bridges\[0\]\.name: must be a text, not 5 \(put it in quotes\)/,
    ],
    ["a slash in a name", "bridges: [{ name: a/b }]", /^bridges\[0\]\.name: must not contain/],
    ["not a flag", "bridges: [{ name: b, up: maybe }]", /^bridges\[0\]\.up: must be true or false/],
    ["duplicate names", "hosts: [{ name: h }, { name: h }]", /^hosts\[1\]\.name: there are two hosts "h"/],
    [
      "bridge and router alike",
      "bridges: [{ name: x }]\nrouters: [{ name: x }]",
      /^routers\[0\]\.name: there is a bridge "x"/,
    ],
    [
      "duplicate ports",
      "bridges: [{ name: b, ports: [{ name: p }, { name: p }] }]",
      /^bridges\[0\]\.ports\[1\]\.name: there are two ports/,
    ],
    [
      "dangling filter",
      "chains: [{ name: web }]\nbridges: [{ name: b, inFilter: wb }]",
      /^bridges\[0\]\.inFilter: there is no chain "wb".*did you mean "web"/,
    ],
    [
      "dangling host",
      "hosts: [{ name: h1 }]\nbridges: [{ name: b, ports: [{ name: a }, { name: p, bind: { host: h9, interface: x } }] }]",
      /^bridges\[0\]\.ports\[1\]\.bind\.host: there is no host "h9"/,
    ],
    [
      "half a binding",
      "hosts: [{ name: h }]\nbridges: [{ name: b, ports: [{ name: p, bind: { host: h } }] }]",
      /^bridges\[0\]\.ports\[0\]\.bind\.interface: is missing/,
    ],
    [
      "dangling link",
      "bridges: [{ name: b, ports: [{ name: p, link: x/y }] }]",
      /^bridges\[0\]\.ports\[0\]\.link: there is no port "x\/y"/,
    ],
    [
      "link to itself",
      "bridges: [{ name: b, ports: [{ name: p, link: b/p }] }]",
      /link: a port cannot be linked to itself/,
    ],
    [
      "two links to one port",
      "bridges: [{ name: b, ports: [{ name: p }, { name: q, link: b/p }, { name: r, link: b/p }] }]",
      /^bridges\[0\]\.ports\[2\]\.link: "b\/p" is linked to "b\/q" already/,
    ],
    [
      "bound twice",
      "hosts: [{ name: h }]\nbridges: [{ name: b, ports: [{ name: p, bind: { host: h, interface: x } }, { name: q, bind: { host: h, interface: x } }] }]",
      /^bridges\[0\]\.ports\[1\]\.bind\.interface: "x" of host "h" is bound to "b\/p" already/,
    ],
    [
      "dangling jump",
      "chains: [{ name: c, rules: [{ type: jump, jump: d }] }]",
      /^chains\[0\]\.rules\[0\]\.jump: there is no chain "d"/,
    ],
    [
      "jump without target",
      "chains: [{ name: c, rules: [{ type: jump }] }]",
      /^chains\[0\]\.rules\[0\]\.jump: is missing/,
    ],
    [
      "rule type",
      "chains: [{ name: c, rules: [{ type: dorp }] }]",
      /^chains\[0\]\.rules\[0\]\.type: must be one of.*did you mean "drop"/,
    ],
    [
      "bad match",
      "chains: [{ name: c, rules: [{ type: drop, match: port 80 }] }]",
      /^chains\[0\]\.rules\[0\]\.match: position 1 .*`dst port 80`/,
    ],
    [
      "bad condition",
      "chains: [{ name: c, rules: [{ type: drop, condition: { nwProto: 999 } }] }]",
      /^chains\[0\]\.rules\[0\]\.condition\.nwProto: must be/,
    ],
    [
      "unknown condition field",
      "chains: [{ name: c, rules: [{ type: drop, condition: { nwPorto: 6 } }] }]",
      /^chains\[0\]\.rules\[0\]\.condition\.nwPorto: .*"nwProto"/,
    ],
    [
      "dangling group",
      "chains: [{ name: c, rules: [{ type: drop, condition: { portGroup: g } }] }]",
      /condition\.portGroup: there is no port group "g"/,
    ],
    [
      "port address without length",
      "routers: [{ name: r, ports: [{ name: p, address: 10.0.0.1 }] }]",
      /^routers\[0\]\.ports\[0\]\.address: must be an address with its prefix/,
    ],
    [
      "the network as port address",
      "routers: [{ name: r, ports: [{ name: p, address: 10.0.0.0/24 }] }]",
      /address: must be the address of one interface/,
    ],
    [
      "host bits",
      "routers: [{ name: r, ports: [{ name: p }], routes: [{ dst: 10.0.0.7/24, port: p }] }]",
      /^routers\[0\]\.routes\[0\]\.dst: has bits set behind its prefix: write 10.0.0.0\/24/,
    ],
    [
      "route by a port of another",
      "routers: [{ name: r, routes: [{ dst: 10.0.0.0/24, port: p }] }]",
      /routes\[0\]\.port: there is no port of router "r" "p"/,
    ],
    ["route without port", "routers: [{ name: r, routes: [{ dst: 10.0.0.0/24 }] }]", /routes\[0\]\.port: is missing/],
    [
      "weight",
      "routers: [{ name: r, routes: [{ dst: 0.0.0.0/0, type: Reject, weight: -1 }] }]",
      /weight: must be an integer from 0/,
    ],
    [
      "tunnel address",
      "hosts: [{ name: h }]\ntunnelZones: [{ name: z, hosts: { h: x } }]",
      /^tunnelZones\[0\]\.hosts\.h: must be an IPv4 address/,
    ],
    [
      "dangling zone host",
      "tunnelZones: [{ name: z, hosts: { h: 1.1.1.1 } }]",
      /^tunnelZones\[0\]\.hosts\.h: there is no host "h"/,
    ],
    [
      "group address",
      "ipAddrGroups: [{ name: a, addresses: [x] }]",
      /^ipAddrGroups\[0\]\.addresses\[0\]: must be an IPv4 or IPv6 address/,
    ],
  ];
  for (const [name, yaml, message] of cases)
    test(name, () => {
      const list = faults(yaml);
      assert.equal(list.length, 1, list.join("\n"));
      assert.match(list[0] ?? "", message);
    });

  test("all mistakes are found at once", () => {
    const list = faults(
      "bridges: [{ tenant: 5, inFilter: c, ports: [{ name: p, vlan: 5000 }] }]\nhosts: [{ name: h, id: x }]",
    );
    assert.deepEqual(
      list.map((f) => f.slice(0, f.indexOf(":"))),
      ["hosts[0].id", "bridges[0].ports[0].vlan", "bridges[0].name", "bridges[0].tenant", "bridges[0].inFilter"],
    );
  });

  test("a cyclic document (YAML aliases can make one) is refused", () => {
    assert.match(faults("bridges: [&b { name: *b }]")[0] ?? "", /name: must be a text, not a mapping/);
  });

  test("any plain value is read or refused", () => {
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
    const key = fc.constantFrom(
      "name",
      "ports",
      "bind",
      "link",
      "rules",
      "match",
      "condition",
      "hosts",
      "routes",
      "type",
      "address",
      "__proto__",
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: "small" },
        leaf,
        fc.array(tie("any"), { maxLength: 3 }),
        fc.dictionary(key, tie("any"), { maxKeys: 4 }),
      ),
    })).any;
    const top = fc.constantFrom("hosts", "tunnelZones", "ipAddrGroups", "portGroups", "chains", "bridges", "routers");
    fc.assert(
      fc.property(fc.oneof(value, fc.dictionary(top, fc.array(value, { maxLength: 3 }))), (v) => {
        try {
          parseTopologyDocument(v);
        } catch (e) {
          assert.ok(e instanceof MidotraceError && e.code === "VALIDATION", String(e));
        }
      }),
      { numRuns: 1000 },
    );
  });
});
